import { ERROR_TRAITS, type ErrorCode, type Fault } from './error-code.ts';

export interface ThawErrorOptions {
  readonly cause?: unknown;
  /** Facts for machines and logs (the function's name, a limit, an exit code): never secrets. */
  readonly details?: Readonly<Record<string, string | number | boolean>>;
  /** What the user's code reported, when the failure is its own. */
  readonly functionError?: FunctionErrorBody;
  /** Seconds after which trying again makes sense; sent as `Retry-After`. */
  readonly retryAfterS?: number;
}

/** The body a failed invocation answers with (FC's shape); `stackTrace` holds strings (Node) or lists (Python). */
export interface FunctionErrorBody {
  readonly errorType: string;
  readonly errorMessage: string;
  readonly stackTrace?: readonly unknown[];
}

/**
 * The one error of the platform. The message says what was being done and to what; the reason is in `cause` and is
 * not repeated in the text.
 */
export class ThawError extends Error {
  override readonly name = 'ThawError';
  readonly code: ErrorCode;
  readonly details: Readonly<Record<string, string | number | boolean>>;
  readonly functionError: FunctionErrorBody | undefined;
  readonly retryAfterS: number | undefined;

  constructor(code: ErrorCode, message: string, options: ThawErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details ?? {};
    this.functionError = options.functionError;
    this.retryAfterS = options.retryAfterS;
  }

  get fault(): Fault {
    return ERROR_TRAITS[this.code].fault;
  }

  get status(): number {
    return ERROR_TRAITS[this.code].status;
  }

  get isRetryable(): boolean {
    return ERROR_TRAITS[this.code].retryable;
  }

  /** Anything thrown, as a `ThawError`: what is not one already is a platform fault that nobody foresaw. */
  static from(thrown: unknown, doing: string): ThawError {
    if (thrown instanceof ThawError) return thrown;
    return new ThawError('INTERNAL', doing, { cause: thrown });
  }
}
