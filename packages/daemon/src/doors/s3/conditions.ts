import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { ObjectInfo } from '../../store/objects.ts';

type Headers = Readonly<Record<string, string>>;

/**
 * What the conditions of a GET or HEAD come to, in RFC 9110's order (section 13.2.2). `prefix` is that of a copy's
 * conditions on its source.
 */
export function readCondition(
  headers: Headers,
  { etag, modifiedMs }: Pick<ObjectInfo, 'etag' | 'modifiedMs'>,
  prefix = '',
): 'ok' | 'not modified' | 'failed' {
  const ifMatch = headers[`${prefix}if-match`];
  const unmodifiedSince = timeOf(headers[`${prefix}if-unmodified-since`]);
  const ifNoneMatch = headers[`${prefix}if-none-match`];
  const modifiedSince = timeOf(headers[`${prefix}if-modified-since`]);
  // HTTP's dates have no fractions.
  const modified = Math.floor(modifiedMs / 1000) * 1000;
  if (ifMatch !== undefined) {
    if (!names(ifMatch, etag)) return 'failed';
  } else if (unmodifiedSince !== undefined && modified > unmodifiedSince) return 'failed';
  if (ifNoneMatch !== undefined) {
    if (names(ifNoneMatch, etag)) return 'not modified';
  } else if (modifiedSince !== undefined && modified <= modifiedSince) return 'not modified';
  return 'ok';
}

/** The conditions of a PUT, to be asked at the moment of the change. Throws PRECONDITION_FAILED, OBJECT_NOT_FOUND. */
export function writeCondition(headers: Headers): ((current: ObjectInfo | undefined) => void) | undefined {
  const ifMatch = headers['if-match'];
  const ifNoneMatch = headers['if-none-match'];
  if (ifMatch === undefined && ifNoneMatch === undefined) return undefined;
  return (current) => {
    if (ifNoneMatch !== undefined && current !== undefined && names(ifNoneMatch, current.etag)) {
      throw new ThawError('PRECONDITION_FAILED', 'the object is there already');
    }
    if (ifMatch === undefined) return;
    if (current === undefined) throw new ThawError('OBJECT_NOT_FOUND', 'there is no object that could match');
    if (!names(ifMatch, current.etag))
      throw new ThawError('PRECONDITION_FAILED', 'the object is another by now');
  };
}

function names(header: string, etag: string): boolean {
  return header.split(',').some((part) => {
    const wanted = part.trim().replace(/^W\//, '').replaceAll('"', '');
    return wanted === '*' || wanted === etag;
  });
}

function timeOf(header: string | undefined): number | undefined {
  const time = Date.parse(header ?? '');
  return Number.isNaN(time) ? undefined : time;
}
