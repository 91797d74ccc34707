import type { ErrorCode } from '@thaw/protocol/error-code.ts';
import type { ThawError } from '@thaw/protocol/thaw-error.ts';

/** What becomes of an asynchronous invocation that failed, as pure functions. */

export interface AsyncPolicy {
  /** Tries after the first that a function's own failures may use up. */
  readonly retriesMax: number;
  /** From acceptance; an event that is older is not run any more. */
  readonly ageMsMax: number;
}

/** FC's defaults. */
export const DEFAULT_ASYNC_POLICY: AsyncPolicy = { retriesMax: 3, ageMsMax: 24 * 60 * 60 * 1000 };

const RETRY_MS_FIRST = 1_000;
const DEFERRAL_MS_FIRST = 500;
const DELAY_MS_MAX = 60_000;

export interface TriedEvent {
  /** Failures of the function before this one. */
  readonly tries: number;
  /** Times that it was put off before. */
  readonly deferrals: number;
  readonly ageMs: number;
  readonly policy: AsyncPolicy;
  /** From [0, 1). */
  readonly random: number;
}

export type NextStep =
  | { readonly kind: 'retry'; readonly delayMs: number }
  /** It was not the function's fault, so it costs no try. */
  | { readonly kind: 'defer'; readonly delayMs: number }
  | { readonly kind: 'settle'; readonly status: 'Failed' | 'Expired' | 'Invalid' };

/** Conditions that time may mend although the same request at the same moment would fail again. */
const MENDED_BY_TIME: ReadonlySet<ErrorCode> = new Set(['FUNCTION_DISABLED']);

export function nextStep(error: ThawError, event: TriedEvent): NextStep {
  const { tries, deferrals, ageMs, policy, random } = event;
  if (error.fault === 'function') {
    const failures = tries + 1;
    if (failures > policy.retriesMax) return { kind: 'settle', status: 'Failed' };
    return unlessTooOld('retry', withJitter(backoffMs(RETRY_MS_FIRST, failures), random), ageMs, policy);
  }
  if (error.code === 'SHUTTING_DOWN') return { kind: 'defer', delayMs: 0 };
  if (error.fault === 'caller' && !error.isRetryable && !MENDED_BY_TIME.has(error.code)) {
    return { kind: 'settle', status: 'Invalid' };
  }
  return unlessTooOld('defer', withJitter(deferralMs(deferrals + 1), random), ageMs, policy);
}

/** 0.5, 1, 2, 4, 8, ... seconds (FC 3.0, retries of asynchronous invocations), with an upper bound. */
export function deferralMs(deferrals: number): number {
  return backoffMs(DEFERRAL_MS_FIRST, deferrals);
}

function backoffMs(firstMs: number, times: number): number {
  return Math.min(DELAY_MS_MAX, firstMs * 2 ** Math.min(times - 1, 20));
}

/** Between half of it and the whole: those that failed together do not come back together. */
function withJitter(delayMs: number, random: number): number {
  return Math.round(delayMs * (0.5 + random / 2));
}

function unlessTooOld(
  kind: 'retry' | 'defer',
  delayMs: number,
  ageMs: number,
  policy: AsyncPolicy,
): NextStep {
  return ageMs + delayMs > policy.ageMsMax ? { kind: 'settle', status: 'Expired' } : { kind, delayMs };
}
