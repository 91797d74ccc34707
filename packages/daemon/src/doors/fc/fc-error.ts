import type { ErrorCode } from '@thaw/protocol/error-code.ts';
import type { ThawError } from '@thaw/protocol/thaw-error.ts';
import { diskProblem } from '../../base/disk-problem.ts';
import type { ControlResponse } from './control-request.ts';

/** FC's own name of each condition. Codes that FC does not document follow its habit of naming the condition. */
const FC_CODES: Readonly<Record<ErrorCode, string>> = {
  INVALID_ARGUMENT: 'InvalidArgument',
  INVALID_JSON: 'InvalidArgument',
  INVALID_CODE_PACKAGE: 'InvalidArgument',
  MISSING_HEADER: 'MissingRequiredHeader',
  BODY_TRUNCATED: 'InvalidArgument',
  PAYLOAD_TOO_LARGE: 'EntityTooLarge',
  PATH_NOT_SUPPORTED: 'PathNotSupported',
  METHOD_NOT_ALLOWED: 'PathNotSupported',
  UNSUPPORTED_RUNTIME: 'InvalidArgument',
  LIMIT_EXCEEDED: 'LimitExceeded',
  INVALID_IMAGE: 'InvalidImage',
  IMAGE_CORRUPT: 'InvalidImage',
  IMAGE_TOO_LARGE: 'ImageTooLarge',
  IMAGE_NOT_FOUND: 'ImageNotFound',
  IMAGE_ACCESS_DENIED: 'ImageAccessDenied',
  SIGNATURE_MISSING: 'MissingRequiredHeader',
  SIGNATURE_INVALID: 'SignatureNotMatch',
  ACCESS_KEY_UNKNOWN: 'InvalidAccessKeyID',
  REQUEST_EXPIRED: 'AccessDenied',
  NONCE_REPLAYED: 'SignatureNonceUsed',
  ACCESS_DENIED: 'AccessDenied',
  FUNCTION_NOT_FOUND: 'FunctionNotFound',
  VERSION_NOT_FOUND: 'VersionNotFound',
  ALIAS_NOT_FOUND: 'AliasNotFound',
  TRIGGER_NOT_FOUND: 'TriggerNotFound',
  LAYER_NOT_FOUND: 'LayerNotFound',
  QUEUE_NOT_FOUND: 'QueueNotFound',
  EVENT_BUS_NOT_FOUND: 'EventBusNotFound',
  BUCKET_NOT_FOUND: 'BucketNotFound',
  OBJECT_NOT_FOUND: 'ObjectNotFound',
  UPLOAD_NOT_FOUND: 'UploadNotFound',
  BUCKET_EXISTS: 'BucketAlreadyExists',
  CHECKSUM_MISMATCH: 'ChecksumMismatch',
  CONFIG_NOT_FOUND: 'ConfigNotFound',
  INVOCATION_NOT_FOUND: 'InvocationNotFound',
  INPUT_NOT_RECORDED: 'InvocationInputNotRecorded',
  TASK_NOT_FOUND: 'AsyncTaskNotFound',
  FUNCTION_EXISTS: 'FunctionAlreadyExists',
  ALIAS_EXISTS: 'AliasAlreadyExists',
  TRIGGER_EXISTS: 'TriggerAlreadyExists',
  QUEUE_EXISTS: 'QueueAlreadyExists',
  CONFLICT: 'ConcurrentUpdateError',
  IN_USE: 'ResourceInUse',
  PRECONDITION_FAILED: 'PreconditionFailed',
  FUNCTION_DISABLED: 'FunctionInvocationDisabled',
  CLIENT_CLOSED: 'ClientClosedRequest',
  TASK_STOPPED: 'AsyncTaskStopped',
  IDEMPOTENCY_KEY_IN_USE: 'IdempotencyKeyInUse',
  IDEMPOTENCY_KEY_REUSED: 'IdempotencyKeyReused',
  IDEMPOTENCY_ANSWER_NOT_KEPT: 'IdempotencyAnswerNotKept',
  SOURCE_REFUSED: 'EventSourceRefused',
  CHANGES_LOST: 'EventSourceChangesLost',
  HANDLER_THREW: 'UnhandledInvocationError',
  INITIALIZER_FAILED: 'InitializationError',
  INITIALIZER_TIMED_OUT: 'InitializationError',
  CODE_NOT_LOADED: 'FunctionCodeError',
  HANDLER_NOT_FOUND: 'HandlerNotFound',
  FUNCTION_TIMED_OUT: 'FunctionTimeout',
  FUNCTION_OUT_OF_MEMORY: 'FunctionOutOfMemory',
  FUNCTION_EXITED: 'FunctionProcessExited',
  RESPONSE_INVALID: 'InvalidResponse',
  RESPONSE_TOO_LARGE: 'ResponseTooLarge',
  THROTTLED: 'ResourceThrottled',
  QUEUE_FULL: 'ResourceThrottled',
  SANDBOX_FAILED: 'ServiceUnavailable',
  INSTANCE_START_TIMED_OUT: 'ServiceUnavailable',
  LINK_BROKEN: 'ServiceUnavailable',
  RUNTIME_UNAVAILABLE: 'ServiceUnavailable',
  STORE_FAILED: 'ServiceUnavailable',
  SOURCE_UNREACHABLE: 'ServiceUnavailable',
  REGISTRY_FAILED: 'ImageRegistryUnavailable',
  SHUTTING_DOWN: 'ServiceUnavailable',
  PLATFORM_UNREACHABLE: 'ServiceUnavailable',
  INTERNAL: 'InternalServerError',
};

/** Each kind of setting has a code of its own when it is not set; tools look for exactly these. */
const CONFIG_NOT_FOUND_CODES: Readonly<Record<string, string>> = {
  async: 'AsyncConfigNotExists',
  concurrency: 'OnDemandConfigNotFound',
  provision: 'ProvisionConfigNotFound',
  scaling: 'ScalingConfigNotFound',
};

/** Where FC answers with another status than the condition's own. */
const FC_STATUSES: Readonly<Partial<Record<ErrorCode, number>>> = {
  PAYLOAD_TOO_LARGE: 400,
  PATH_NOT_SUPPORTED: 400,
  SIGNATURE_MISSING: 400,
};

const INTERNAL_MESSAGE =
  'the platform failed to process the request; its log tells more under this request id';

export function fcErrorCode(error: ThawError): string {
  if (error.code === 'CONFIG_NOT_FOUND') {
    return CONFIG_NOT_FOUND_CODES[String(error.details['config'])] ?? FC_CODES.CONFIG_NOT_FOUND;
  }
  return FC_CODES[error.code];
}

export function fcErrorStatus(error: ThawError): number {
  return FC_STATUSES[error.code] ?? error.status;
}

/** The answer to a request that failed. */
export function fcErrorResponse(
  error: ThawError,
  requestId: string,
): ControlResponse & { readonly body: string } {
  const { retryAfterS } = error;
  return {
    status: fcErrorStatus(error),
    headers: {
      'content-type': 'application/json',
      'x-fc-request-id': requestId,
      ...(retryAfterS === undefined
        ? {}
        : { 'retry-after': String(retryAfterS), 'x-acs-retry-after': String(retryAfterS) }),
    },
    body: fcErrorBody(error, requestId),
  };
}

/** What nobody foresaw keeps its words to the log: they may hold paths. */
function fcErrorBody(error: ThawError, requestId: string): string {
  return JSON.stringify({
    RequestId: requestId,
    Code: fcErrorCode(error),
    Message: error.code === 'INTERNAL' ? INTERNAL_MESSAGE : messageOf(error),
  });
}

/** A full disk is for whoever runs the platform to mend, and the person who deploys is often the same. */
function messageOf(error: ThawError): string {
  const problem = error.code === 'STORE_FAILED' ? diskProblem(error) : undefined;
  return problem === undefined ? error.message : `${error.message}: ${problem}`;
}
