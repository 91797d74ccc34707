import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { isBucketName } from './bucket-name.ts';

/** The variable that lists buckets which a function may use: `uploads,archive:ro`. */
export const BUCKETS_VARIABLE = 'THAW_BUCKETS';
/** The variables that list queues and event buses which a function may use: `jobs,failed`. */
export const QUEUES_VARIABLE = 'THAW_QUEUES';
export const EVENT_BUSES_VARIABLE = 'THAW_EVENT_BUSES';
const BUCKETS_MAX = 50;
const RESOURCE_NAME = /^[A-Za-z_][A-Za-z0-9_-]{0,127}$/;

export type BucketAccess = 'read' | 'write';

/** What of the platform a function may use itself, beside being called. Who is granted nothing reaches nothing. */
export interface FunctionGrant {
  /** `write` includes `read`. */
  readonly buckets: ReadonlyMap<string, BucketAccess>;
  /** Whose messages it may send, receive and acknowledge. */
  readonly queues: ReadonlySet<string>;
  /** That it may publish events on. */
  readonly eventBuses: ReadonlySet<string>;
}

/**
 * The buckets of the function's own object triggers, and those that its environment lists, which may narrow a trigger's
 * to `:ro`. Only who may configure the function sets either.
 */
export function functionGrant(
  environment: Readonly<Record<string, string>>,
  triggerBuckets: Iterable<string>,
): FunctionGrant {
  const buckets = new Map<string, BucketAccess>();
  for (const bucket of triggerBuckets) buckets.set(bucket, 'write');
  for (const [bucket, access] of parseBuckets(environment[BUCKETS_VARIABLE] ?? ''))
    buckets.set(bucket, access);
  return {
    buckets,
    queues: parseNames(QUEUES_VARIABLE, environment),
    eventBuses: parseNames(EVENT_BUSES_VARIABLE, environment),
  };
}

/** Names with commas between them. Throws INVALID_ARGUMENT. */
export function parseNames(
  variable: string,
  environment: Readonly<Record<string, string>>,
): ReadonlySet<string> {
  const names = (environment[variable] ?? '').split(',').map((name) => name.trim());
  const given = new Set(names.filter((name) => name !== ''));
  for (const name of given) {
    if (RESOURCE_NAME.test(name)) continue;
    throw new ThawError('INVALID_ARGUMENT', `${variable}: '${name}' is no name; write several with commas`, {
      details: { field: 'environmentVariables' },
    });
  }
  return given;
}

/** Throws INVALID_ARGUMENT. */
export function parseBuckets(text: string): Map<string, BucketAccess> {
  const buckets = new Map<string, BucketAccess>();
  for (const part of text.split(',')) {
    const item = part.trim();
    if (item === '') continue;
    const [bucket = '', mode = 'rw', ...rest] = item.split(':');
    if (!isBucketName(bucket) || (mode !== 'ro' && mode !== 'rw') || rest.length > 0) {
      throw new ThawError(
        'INVALID_ARGUMENT',
        `${BUCKETS_VARIABLE}: '${item}' is no bucket; write it like 'uploads' or 'archive:ro', several with commas`,
        { details: { field: 'environmentVariables' } },
      );
    }
    buckets.set(bucket, mode === 'ro' ? 'read' : 'write');
  }
  if (buckets.size > BUCKETS_MAX) {
    throw new ThawError('INVALID_ARGUMENT', `${BUCKETS_VARIABLE} lists more than ${BUCKETS_MAX} buckets`, {
      details: { field: 'environmentVariables' },
    });
  }
  return buckets;
}

export function grantsNothing(grant: FunctionGrant): boolean {
  return grant.buckets.size + grant.queues.size + grant.eventBuses.size === 0;
}
