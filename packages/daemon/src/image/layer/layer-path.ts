import { ThawError } from '@thaw/protocol/thaw-error.ts';

const NAME_BYTES_MAX = 255;
const PATH_BYTES_MAX = 4096;
const DEPTH_MAX = 256;

/**
 * The path of an entry without `/`, `./` and doubled separators. A name that climbs out, that no file system can hold
 * or that hides a NUL is refused with INVALID_IMAGE: nobody has such files by accident.
 */
export function layerPath(name: string): string {
  if (Buffer.byteLength(name) > PATH_BYTES_MAX) throw refused(name, `is longer than ${PATH_BYTES_MAX} bytes`);
  if (name.includes('\0')) throw refused(name, 'contains a NUL');
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) throw refused(name, 'climbs out of its directory');
  if (parts.length > DEPTH_MAX) throw refused(name, `is deeper than ${DEPTH_MAX} directories`);
  if (parts.some((part) => Buffer.byteLength(part) > NAME_BYTES_MAX))
    throw refused(name, `has a name of more than ${NAME_BYTES_MAX} bytes`);
  return parts.join('/');
}

function refused(name: string, why: string): ThawError {
  return new ThawError('INVALID_IMAGE', `the path ${JSON.stringify(name.slice(0, 200))} in a layer ${why}`);
}
