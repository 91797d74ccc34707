import type { ErrorCode } from '@thaw/protocol/error-code.ts';
import type { FunctionErrorBody, ThawError } from '@thaw/protocol/thaw-error.ts';

/** FC's `x-fc-error-type` of a failure that is the function's own. */
export function errorTypeHeader(error: ThawError): string {
  if (INITIALIZATION_CODES.has(error.code)) return 'InitializationError';
  return error.details['handled'] === true ? 'HandledInvocationError' : 'UnhandledInvocationError';
}

const INITIALIZATION_CODES: ReadonlySet<ErrorCode> = new Set(['INITIALIZER_FAILED', 'INITIALIZER_TIMED_OUT']);

/** FC's body of a failure that is the function's own: what user code reported, or what the platform saw. */
export function functionErrorBody(error: ThawError): Buffer {
  const body: FunctionErrorBody = error.functionError ?? {
    errorType: error.code,
    errorMessage: error.message,
    stackTrace: [],
  };
  const { errorMessage, errorType, stackTrace } = body;
  return Buffer.from(JSON.stringify({ errorMessage, errorType, stackTrace: stackTrace ?? [] }));
}
