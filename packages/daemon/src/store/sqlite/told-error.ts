import type { ErrorCode } from '@thaw/protocol/error-code.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { storeFailure } from './sqlite-database.ts';

/** An error without its class, which does not survive the way between threads. */
export interface ToldError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly details: ThawError['details'];
  readonly retryAfterS?: number | undefined;
  /** What SQLite or the system said: text and number. */
  readonly causeText?: string | undefined;
  readonly causeNumber?: number | undefined;
}

/** What a store's thread threw while it was `doing` something. */
export function toldError(doing: string, thrown: unknown): ToldError {
  const { code, message, details, retryAfterS, cause } = storeFailure(doing, thrown);
  const number = cause instanceof Error && 'errcode' in cause ? Number(cause.errcode) : undefined;
  return {
    code,
    message,
    details,
    retryAfterS,
    causeText: cause instanceof Error ? cause.message : undefined,
    causeNumber: number,
  };
}

export function errorOf({
  code,
  message,
  details,
  retryAfterS,
  causeText,
  causeNumber,
}: ToldError): ThawError {
  const cause = causeText === undefined ? undefined : new Error(causeText);
  // `diskProblem` knows a full disk by SQLite's number.
  if (cause !== undefined && causeNumber !== undefined) Object.assign(cause, { errcode: causeNumber });
  return new ThawError(code, message, {
    details,
    ...(cause === undefined ? {} : { cause }),
    ...(retryAfterS === undefined ? {} : { retryAfterS }),
  });
}
