import { ERROR_TRAITS, type ErrorCode } from '@thaw/protocol/error-code.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';

/** FC's codes as this project's own, where a command or its advice tells them apart. */
const CODES: Readonly<Record<string, ErrorCode>> = {
  InvalidArgument: 'INVALID_ARGUMENT',
  MissingRequiredHeader: 'MISSING_HEADER',
  PathNotSupported: 'PATH_NOT_SUPPORTED',
  MethodNotAllowed: 'METHOD_NOT_ALLOWED',
  EntityTooLarge: 'PAYLOAD_TOO_LARGE',
  LimitExceeded: 'LIMIT_EXCEEDED',
  AccessDenied: 'ACCESS_DENIED',
  SignatureNotMatch: 'SIGNATURE_INVALID',
  SignatureNonceUsed: 'NONCE_REPLAYED',
  InvalidAccessKeyID: 'ACCESS_KEY_UNKNOWN',
  FunctionNotFound: 'FUNCTION_NOT_FOUND',
  VersionNotFound: 'VERSION_NOT_FOUND',
  AliasNotFound: 'ALIAS_NOT_FOUND',
  TriggerNotFound: 'TRIGGER_NOT_FOUND',
  LayerNotFound: 'LAYER_NOT_FOUND',
  LayerVersionNotFound: 'LAYER_NOT_FOUND',
  InvocationNotFound: 'INVOCATION_NOT_FOUND',
  FunctionAlreadyExists: 'FUNCTION_EXISTS',
  AliasAlreadyExists: 'ALIAS_EXISTS',
  TriggerAlreadyExists: 'TRIGGER_EXISTS',
  ConcurrentUpdateError: 'CONFLICT',
  ResourceInUse: 'IN_USE',
  FunctionInvocationDisabled: 'FUNCTION_DISABLED',
  NoSuchBucket: 'BUCKET_NOT_FOUND',
  NoSuchKey: 'OBJECT_NOT_FOUND',
  BucketAlreadyOwnedByYou: 'BUCKET_EXISTS',
  BucketNotEmpty: 'IN_USE',
  SignatureDoesNotMatch: 'SIGNATURE_INVALID',
  InvalidAccessKeyId: 'ACCESS_KEY_UNKNOWN',
  RequestTimeTooSkewed: 'REQUEST_EXPIRED',
  BadDigest: 'CHECKSUM_MISMATCH',
  XAmzContentSHA256Mismatch: 'CHECKSUM_MISMATCH',
  SlowDown: 'QUEUE_FULL',
  ServiceUnavailable: 'STORE_FAILED',
};

/** What the code alone does not tell, by status. The first that is not above the status counts. */
const CODES_BY_STATUS: readonly (readonly [number, ErrorCode])[] = [
  [503, 'SHUTTING_DOWN'],
  [500, 'INTERNAL'],
  [429, 'THROTTLED'],
  [413, 'PAYLOAD_TOO_LARGE'],
  [412, 'PRECONDITION_FAILED'],
  [409, 'CONFLICT'],
  [405, 'METHOD_NOT_ALLOWED'],
  [404, 'CONFIG_NOT_FOUND'],
  [403, 'ACCESS_DENIED'],
  [400, 'INVALID_ARGUMENT'],
];

/** An answer of the platform that is not a success, as the error that the command line reports. */
export function apiError(status: number, body: string, requestId: string | undefined): ThawError {
  const { code, message } = readErrorBody(body);
  const details: Record<string, string | number> = { httpStatus: status };
  if (code !== undefined) details['apiCode'] = code;
  if (requestId !== undefined) details['requestId'] = requestId;
  const fallback = CODES_BY_STATUS.find(([from]) => status >= from)?.[1] ?? 'INTERNAL';
  return new ThawError(knownCode(code) ?? fallback, message ?? `the platform answered ${status}`, {
    details,
  });
}

/** Thaw's own API answers with this project's codes as they are. */
function knownCode(code: string | undefined): ErrorCode | undefined {
  if (code === undefined) return undefined;
  return isErrorCode(code) ? code : CODES[code];
}

function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(ERROR_TRAITS, code);
}

function readErrorBody(body: string): {
  readonly code: string | undefined;
  readonly message: string | undefined;
} {
  // The object store speaks S3's XML.
  const xml = /<Code>([^<]*)<\/Code>\s*<Message>([^<]*)<\/Message>/.exec(body);
  if (xml !== null) return { code: xml[1], message: unescaped(xml[2] ?? '') };
  let parsed: unknown;
  try {
    parsed = JSON.parse(body);
  } catch {
    return { code: undefined, message: body.trim() === '' ? undefined : body.trim().slice(0, 500) };
  }
  return {
    code: firstText(parsed, ['Code', 'code', 'ErrorCode']),
    message: firstText(parsed, ['Message', 'message', 'ErrorMessage']),
  };
}

function firstText(value: unknown, names: readonly string[]): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  for (const name of names) {
    const field: unknown = Reflect.get(value, name);
    if (typeof field === 'string') return field;
  }
  return undefined;
}

function unescaped(text: string): string {
  const characters: Readonly<Record<string, string>> = { lt: '<', gt: '>', quot: '"', apos: "'", amp: '&' };
  return text.replaceAll(/&(lt|gt|quot|apos|amp);/g, (_, name: string) => characters[name] ?? '');
}
