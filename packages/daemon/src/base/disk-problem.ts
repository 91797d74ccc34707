/** Causes of causes are followed so far. */
const CAUSES_MAX = 8;

const BY_SYSTEM_CODE: ReadonlyMap<unknown, string> = new Map([
  ['ENOSPC', "the platform's disk is full"],
  ['EDQUOT', "the platform's disk quota is used up"],
  ['EROFS', "the platform's disk is read-only"],
]);

/** SQLITE_FULL and SQLITE_READONLY; the higher bits of a result code only tell more of the same. */
const BY_SQLITE_CODE: ReadonlyMap<number, string> = new Map([
  [13, "the platform's disk is full"],
  [8, "the platform's disk is read-only"],
]);

/**
 * What is wrong with the disk, in words for whoever can do something about it; undefined where a failure has another
 * reason. A caller is told this much of a cause, which otherwise is for the log.
 */
export function diskProblem(failure: unknown): string | undefined {
  let error = failure;
  for (let depth = 0; depth < CAUSES_MAX && error instanceof Error; depth++) {
    const known = 'code' in error ? BY_SYSTEM_CODE.get(error.code) : undefined;
    if (known !== undefined) return known;
    if ('errcode' in error && typeof error.errcode === 'number') {
      return BY_SQLITE_CODE.get(error.errcode & 0xff);
    }
    error = error.cause;
  }
  return undefined;
}
