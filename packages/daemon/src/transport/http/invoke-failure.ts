import type { HttpRequest, ReportedError } from '../transport.ts';
import { headerValue } from './forwarded-headers.ts';

/** What of a failure's body is kept; the rest is read and dropped. */
const BODY_BYTES_MAX = 64 * 1024;

/** Whether a request is the platform's own `/invoke`: its control headers come last, and callers cannot set any. */
export function isInvoke({ rawHeaders }: HttpRequest): boolean {
  return rawHeaders.at(-2) === 'x-fc-control-path' && rawHeaders.at(-1) === '/invoke';
}

/**
 * An event has failed where the server says so: by the header `x-fc-status` with anything but 200 (FC), or by an error
 * status, which on the path of HTTP triggers would be an answer like any other.
 */
export function declaresFailure(status: number, rawHeaders: readonly string[]): boolean {
  const declared = headerValue(rawHeaders, 'x-fc-status');
  return status >= 400 || (declared !== undefined && declared !== '200');
}

/** The error that an answer to `/invoke` stands for: FC's error object where the body is one, else the body's text. */
export class InvokeFailure {
  readonly #status: number;
  readonly #isDeclared: boolean;
  readonly #chunks: Buffer[] = [];
  #bytes = 0;

  constructor(status: number, isDeclared: boolean) {
    this.#status = status;
    this.#isDeclared = isDeclared;
  }

  append(chunk: Buffer): void {
    if (this.#bytes < BODY_BYTES_MAX) this.#chunks.push(chunk.subarray(0, BODY_BYTES_MAX - this.#bytes));
    this.#bytes += chunk.length;
  }

  error(): ReportedError {
    const text = Buffer.concat(this.#chunks).toString('utf8');
    const { errorType, errorMessage, stackTrace } = errorObject(text);
    return {
      errorType: typeof errorType === 'string' ? errorType : `Http${this.#status}`,
      errorMessage:
        typeof errorMessage === 'string'
          ? errorMessage
          : text.trim() || `the server answered /invoke with status ${this.#status}`,
      ...(isStackTrace(stackTrace) ? { stackTrace } : {}),
      handled: this.#isDeclared,
      fatal: false,
    };
  }
}

interface ErrorObject {
  readonly errorType?: unknown;
  readonly errorMessage?: unknown;
  readonly stackTrace?: unknown;
}

function errorObject(text: string): ErrorObject {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value : {};
  } catch {
    return {};
  }
}

function isStackTrace(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((frame) => typeof frame === 'string');
}
