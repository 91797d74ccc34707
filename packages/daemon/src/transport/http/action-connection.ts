import { LIMITS } from '@thaw/protocol/limits.ts';
import type { HookName, RuntimeConnection } from '../runtime-connection.ts';
import { isInvokeCall } from '../stdio/request-variables.ts';
import { wholeBody } from '../stdio/whole-body.ts';
import type {
  Exchange,
  ExchangeFailure,
  HttpRequest,
  InstanceRequest,
  ReportedError,
  ResponseHead,
  ResponseSink,
} from '../transport.ts';
import { actionParameters, tellWebAction } from './action-json.ts';
import type { HttpConnection } from './http-connection.ts';

export interface ActionFunction {
  readonly functionName: string;
  readonly handler: string;
  readonly versionId: string;
  readonly environment: Readonly<Record<string, string>>;
}

/** OpenWhisk's name for a user who has none. */
const NAMESPACE = '_';

/**
 * An OpenWhisk-style action container: `POST /init` once, then `POST /run` with the parameters as JSON and the result as
 * JSON (Apache OpenWhisk, "Creating a runtime", docs/actions-new.md). A call of the invoke API gives its event as
 * parameters and gets the result; a request of an HTTP trigger is a web action's.
 */
export class ActionConnection implements RuntimeConnection {
  readonly handlerKind = 'http';
  readonly #server: HttpConnection;
  readonly #function: ActionFunction;

  constructor(server: HttpConnection, served: ActionFunction) {
    this.#server = server;
    this.#function = served;
  }

  /** The code is in the image, so that there is nothing to hand over but the environment. */
  initialize(onEnd: (error: ReportedError | undefined) => void): void {
    const { functionName, handler, versionId } = this.#function;
    const env = {
      __OW_ACTION_NAME: `/${NAMESPACE}/${functionName}`,
      __OW_ACTION_VERSION: versionId,
      __OW_NAMESPACE: NAMESPACE,
      __OW_API_HOST: '',
    };
    const main = handler.includes('.') ? handler.slice(handler.lastIndexOf('.') + 1) : handler;
    const value = { name: functionName, main, code: '', binary: false, env };
    this.#server.post('/init', Buffer.from(JSON.stringify({ value })), (answer) => {
      if (answer.kind === 'failed') {
        const errorMessage = `/init was not answered: ${answer.cause.message}`;
        onEnd({ errorType: 'ConnectionClosed', errorMessage, handled: false, fatal: false });
      } else if (answer.status === 200) {
        onEnd(undefined);
      } else {
        const text = answer.text.trim();
        const errorMessage = `/init answered with status ${answer.status}${text === '' ? '' : `: ${text}`}`;
        onEnd({ errorType: 'ActionInitFailed', errorMessage, handled: false, fatal: false });
      }
    });
  }

  exchange(request: InstanceRequest, sink: ResponseSink): Exchange {
    if (request.kind !== 'http') throw new Error('an action container takes HTTP requests only');
    const exchange = new ActionExchange();
    wholeBody(request.body, (body, refusal) => {
      if (refusal !== undefined) sink.onFailure({ kind: 'reported', error: refusal });
      else this.#run(request, body, sink, exchange);
    });
    return exchange;
  }

  runHook(_hook: HookName, onEnd: (error: ReportedError | undefined) => void): void {
    process.nextTick(onEnd, undefined);
  }

  close(): void {
    this.#server.close();
  }

  #run(request: HttpRequest, body: Buffer, sink: ResponseSink, exchange: ActionExchange): void {
    const isInvoke = isInvokeCall(request);
    const value = actionParameters(request, body, isInvoke);
    if (value === undefined) {
      const errorMessage = 'an action takes a JSON object as its event';
      sink.onFailure({
        kind: 'reported',
        error: { errorType: 'InvalidEvent', errorMessage, handled: true, fatal: false },
      });
      return;
    }
    if (exchange.isCancelled) {
      sink.onFailure({ kind: 'reported', error: CANCELLED });
      return;
    }
    const { functionName } = this.#function;
    const run = {
      value,
      namespace: NAMESPACE,
      action_name: `/${NAMESPACE}/${functionName}`,
      action_version: this.#function.versionId,
      activation_id: request.requestId,
      transaction_id: request.requestId,
      deadline: String(request.deadlineMs),
    };
    const asked: HttpRequest = {
      ...request,
      method: 'POST',
      url: '/run',
      rawHeaders: ['Content-Type', 'application/json'],
      body: Buffer.from(JSON.stringify(run)),
      upgrade: undefined,
    };
    exchange.inner = this.#server.exchange(asked, new ResultSink(sink, isInvoke));
  }
}

const CANCELLED: ReportedError = {
  errorType: 'Cancelled',
  errorMessage: 'the caller does not wait any more',
  handled: true,
  fatal: false,
};

/** Stands for the exchange with the container, which begins when the whole body is here. */
class ActionExchange implements Exchange {
  inner: Exchange | undefined;
  isCancelled = false;

  resume(): void {
    this.inner?.resume();
  }

  cancel(): void {
    this.isCancelled = true;
    this.inner?.cancel();
  }
}

/** Keeps the container's answer until it is whole, since only all of it is JSON, and tells what it stands for. */
class ResultSink implements ResponseSink {
  readonly #sink: ResponseSink;
  readonly #isInvoke: boolean;
  readonly #chunks: Buffer[] = [];
  #status = 0;
  #bytes = 0;

  constructor(sink: ResponseSink, isInvoke: boolean) {
    this.#sink = sink;
    this.#isInvoke = isInvoke;
  }

  onHead({ status }: ResponseHead): void {
    this.#status = status;
  }

  onData(chunk: Buffer): boolean {
    this.#bytes += chunk.length;
    if (this.#bytes <= LIMITS.syncPayloadBytesMax) this.#chunks.push(chunk);
    return true;
  }

  onEnd(): void {
    if (this.#bytes > LIMITS.syncPayloadBytesMax) {
      this.#fail('ResponseTooLarge', `the result is larger than ${LIMITS.syncPayloadBytesMax} bytes`);
      return;
    }
    const text = Buffer.concat(this.#chunks, this.#bytes);
    const result = parseObject(text);
    if (this.#status !== 200 || result === undefined) {
      const said =
        result === undefined ? text.toString('utf8', 0, 1024) : JSON.stringify(result['error'] ?? result);
      const what = this.#status === 200 ? 'a result that is no JSON object' : `status ${this.#status}`;
      this.#fail('ActionFailed', `the action answered with ${what}: ${said}`);
    } else if (Object.hasOwn(result, 'error') && this.#isInvoke) {
      const error = result['error'];
      this.#fail('ApplicationError', typeof error === 'string' ? error : JSON.stringify(error), true);
    } else if (this.#isInvoke) {
      this.#sink.onHead({ status: 200, rawHeaders: [] });
      this.#sink.onData(text);
      this.#sink.onEnd();
    } else {
      tellWebAction(result, this.#sink);
    }
  }

  onFailure(failure: ExchangeFailure): void {
    this.#sink.onFailure(failure);
  }

  onLog(source: 'stdout' | 'stderr', text: string): void {
    this.#sink.onLog(source, text);
  }

  #fail(errorType: string, errorMessage: string, handled = false): void {
    this.#sink.onFailure({ kind: 'reported', error: { errorType, errorMessage, handled, fatal: false } });
  }
}

function parseObject(text: Buffer): Record<string, unknown> | undefined {
  try {
    const parsed: unknown = JSON.parse(text.toString());
    return typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)
      ? Object.fromEntries(Object.entries(parsed))
      : undefined;
  } catch {
    return undefined;
  }
}
