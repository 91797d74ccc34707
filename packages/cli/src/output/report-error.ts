import type { ErrorCode } from '@thaw/protocol/error-code.ts';
import type { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Output } from './output.ts';

/** A cause chain longer than this is a loop or noise. */
const CAUSES_MAX = 8;

/** What to do about an error that does not say so itself (`details.advice`). */
const ADVICE: Partial<Record<ErrorCode, string>> = {
  FUNCTION_NOT_FOUND: 'See what is there with `thaw function list`, or deploy it with `thaw deploy`.',
  VERSION_NOT_FOUND: 'See the published versions with `thaw version list <function>`.',
  ALIAS_NOT_FOUND: 'See the aliases with `thaw alias list <function>`.',
  TRIGGER_NOT_FOUND: 'See the triggers with `thaw trigger list <function>`.',
  LAYER_NOT_FOUND: 'See the layers with `thaw layer list`.',
  INVOCATION_NOT_FOUND: 'See the latest with `thaw invocation list`.',
  SIGNATURE_INVALID:
    'The secret does not belong to this access key: check THAW_ACCESS_KEY_SECRET or --data-dir.',
  ACCESS_KEY_UNKNOWN:
    'Use the key in credentials.json of the data directory of the platform that answers there.',
  REQUEST_EXPIRED: "Set this machine's clock: it is too far from the platform's.",
  PATH_NOT_SUPPORTED: 'This platform does not have that feature; compare `thaw info` with `thaw --version`.',
  THROTTLED: 'Try again in a moment.',
  QUEUE_FULL: 'Try again in a moment.',
  RUNTIME_UNAVAILABLE: 'See which runtimes the platform found with `thaw info`.',
  SHUTTING_DOWN: 'Try again in a moment; what `thaw info` warns of and `thaw serve` prints may tell why.',
  INTERNAL: 'Look at the output of `thaw serve`; if it is a defect in Thaw, report it with this text.',
};

export interface ErrorReport {
  readonly code: ErrorCode;
  readonly message: string;
  readonly fault: string;
  readonly causes: readonly string[];
  readonly advice?: string;
  readonly requestId?: string;
  /** The platform's own name for what it refused, where the refusal is the platform's. */
  readonly apiCode?: string;
}

export function errorReport(error: ThawError): ErrorReport {
  const advice = error.details['advice'] ?? ADVICE[error.code];
  const { requestId, apiCode } = error.details;
  return {
    code: error.code,
    message: error.message,
    fault: error.fault,
    causes: causesOf(error),
    ...(advice === undefined ? {} : { advice: String(advice) }),
    ...(requestId === undefined ? {} : { requestId: String(requestId) }),
    ...(apiCode === undefined ? {} : { apiCode: String(apiCode) }),
  };
}

/** What failed, why, and what to do, on stderr; with `--json` the same as a value on stdout. */
export function reportError(output: Output, error: ThawError): void {
  const report = errorReport(error);
  if (output.isJson) output.result({ error: report }, () => []);
  for (const line of errorLines(output, report)) output.stderr.write(`${line}\n`);
}

export function errorLines(output: Output, report: ErrorReport): string[] {
  const lines = [`${output.styleError(['red', 'bold'], 'error:')} ${report.message}`];
  for (const cause of report.causes) lines.push(`  because: ${cause}`);
  if (report.advice !== undefined) lines.push(`  ${report.advice}`);
  const facts = [
    report.apiCode ?? report.code,
    ...(report.requestId === undefined ? [] : [`request ${report.requestId}`]),
  ];
  lines.push(output.styleError('dim', `  (${facts.join(', ')})`));
  return lines;
}

function causesOf(error: Error): string[] {
  const causes: string[] = [];
  let cause = error.cause;
  while (cause !== undefined && causes.length < CAUSES_MAX) {
    causes.push(cause instanceof Error ? messageOf(cause) : JSON.stringify(cause));
    cause = cause instanceof Error ? cause.cause : undefined;
  }
  return causes;
}

/** Node gives an `AggregateError` (a host with two addresses) no message of its own. */
function messageOf(error: Error): string {
  if (error instanceof AggregateError && error.message === '') {
    return error.errors.map((inner) => (inner instanceof Error ? inner.message : String(inner))).join('; ');
  }
  return error.message === '' ? error.name : error.message;
}
