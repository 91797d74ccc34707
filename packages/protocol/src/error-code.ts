/**
 * Every condition that a caller, a function's author or an operator can act on has one code here, with whose
 * fault it is, the HTTP status that a door answers with, and whether the same call may be tried again unchanged.
 * docs/ERRORS.md explains each; a test keeps the two in step.
 */

/** Whose fault a failure is: the request, the user's code, or Thaw and the machine under it. */
export type Fault = 'caller' | 'function' | 'platform';

export interface ErrorTraits {
  readonly fault: Fault;
  /** HTTP status on a control API. A door may translate it (an invocation that failed is 200 in FC, 502 on a trigger). */
  readonly status: number;
  /** Whether the same request may succeed later without change. */
  readonly retryable: boolean;
}

const caller = (status: number, retryable = false): ErrorTraits => ({ fault: 'caller', status, retryable });
const functionFault = (): ErrorTraits => ({ fault: 'function', status: 502, retryable: false });
const platform = (status: number, retryable = true): ErrorTraits => ({
  fault: 'platform',
  status,
  retryable,
});

export const ERROR_TRAITS = {
  // The request is not right.
  INVALID_ARGUMENT: caller(400),
  INVALID_JSON: caller(400),
  INVALID_CODE_PACKAGE: caller(400),
  MISSING_HEADER: caller(400),
  BODY_TRUNCATED: caller(400),
  CHECKSUM_MISMATCH: caller(400),
  PAYLOAD_TOO_LARGE: caller(413),
  PATH_NOT_SUPPORTED: caller(404),
  METHOD_NOT_ALLOWED: caller(405),
  UNSUPPORTED_RUNTIME: caller(400),
  LIMIT_EXCEEDED: caller(400),
  INVALID_IMAGE: caller(400),
  IMAGE_CORRUPT: caller(400),
  IMAGE_TOO_LARGE: caller(400),
  IMAGE_NOT_FOUND: caller(404),
  IMAGE_ACCESS_DENIED: caller(403),

  // The caller may not.
  SIGNATURE_MISSING: caller(403),
  SIGNATURE_INVALID: caller(403),
  ACCESS_KEY_UNKNOWN: caller(403),
  REQUEST_EXPIRED: caller(403),
  NONCE_REPLAYED: caller(403),
  ACCESS_DENIED: caller(403),

  // The thing is not there, is there already, or has moved on.
  FUNCTION_NOT_FOUND: caller(404),
  VERSION_NOT_FOUND: caller(404),
  ALIAS_NOT_FOUND: caller(404),
  TRIGGER_NOT_FOUND: caller(404),
  LAYER_NOT_FOUND: caller(404),
  QUEUE_NOT_FOUND: caller(404),
  EVENT_BUS_NOT_FOUND: caller(404),
  BUCKET_NOT_FOUND: caller(404),
  OBJECT_NOT_FOUND: caller(404),
  UPLOAD_NOT_FOUND: caller(404),
  CONFIG_NOT_FOUND: caller(404),
  INVOCATION_NOT_FOUND: caller(404),
  INPUT_NOT_RECORDED: caller(404),
  TASK_NOT_FOUND: caller(404),
  FUNCTION_EXISTS: caller(409),
  ALIAS_EXISTS: caller(409),
  TRIGGER_EXISTS: caller(409),
  QUEUE_EXISTS: caller(409),
  BUCKET_EXISTS: caller(409),
  CONFLICT: caller(409),
  IN_USE: caller(409),
  PRECONDITION_FAILED: caller(412),
  FUNCTION_DISABLED: caller(403),
  CLIENT_CLOSED: caller(499),
  TASK_STOPPED: caller(409),
  IDEMPOTENCY_KEY_IN_USE: caller(409, true),
  IDEMPOTENCY_KEY_REUSED: caller(422),
  IDEMPOTENCY_ANSWER_NOT_KEPT: caller(409),

  // What a trigger follows must be put right by whoever runs it.
  SOURCE_REFUSED: caller(400),
  CHANGES_LOST: caller(409),

  // The user's code failed.
  HANDLER_THREW: functionFault(),
  INITIALIZER_FAILED: functionFault(),
  INITIALIZER_TIMED_OUT: functionFault(),
  CODE_NOT_LOADED: functionFault(),
  HANDLER_NOT_FOUND: functionFault(),
  FUNCTION_TIMED_OUT: functionFault(),
  FUNCTION_OUT_OF_MEMORY: functionFault(),
  FUNCTION_EXITED: functionFault(),
  RESPONSE_INVALID: functionFault(),
  RESPONSE_TOO_LARGE: functionFault(),

  // Too much at once.
  THROTTLED: { fault: 'caller', status: 429, retryable: true },
  QUEUE_FULL: { fault: 'caller', status: 429, retryable: true },

  // Thaw or its machine failed.
  SANDBOX_FAILED: platform(503),
  INSTANCE_START_TIMED_OUT: platform(503),
  LINK_BROKEN: platform(502),
  RUNTIME_UNAVAILABLE: platform(503, false),
  STORE_FAILED: platform(503),
  REGISTRY_FAILED: platform(503),
  SOURCE_UNREACHABLE: platform(503),
  SHUTTING_DOWN: platform(503),
  PLATFORM_UNREACHABLE: platform(503),
  INTERNAL: platform(500),
} as const satisfies Record<string, ErrorTraits>;

export type ErrorCode = keyof typeof ERROR_TRAITS;
