import { MemberSet } from '../../base/member-set.ts';
import type { RunnableVersion } from '../../model/runnable.ts';
import type { ServerAddress } from '../../sandbox/sandbox.ts';
import type { HookName, RuntimeConnection } from '../runtime-connection.ts';
import type { Exchange, InstanceRequest, ReportedError, ResponseSink } from '../transport.ts';
import { HttpClients } from './http-clients.ts';
import { HttpExchange } from './http-exchange.ts';
import { platformHeaders, type ServedFunction } from './platform-headers.ts';
import { headerLines } from './request-head.ts';
import { callServer, type ServerAnswer } from './server-call.ts';

/**
 * A server that closes a connection may be about to end: whoever lost an answer is told how it ended when that is known
 * within this time, and otherwise that the server, which lives on, closed the connection.
 */
const EXIT_TOLD_MS_MAX = 1000;
/** Below the shortest time after which common servers drop idle connections, which is two seconds. */
const IDLE_MS_MAX = 1500;

const HOOK_PATHS: Record<HookName, string> = {
  preFreeze: '/pre-freeze',
  preStop: '/pre-stop',
  postThaw: '/post-thaw',
};

/** The web server of one instance, over HTTP/1.1. It is connected whenever the server accepts connections. */
export class HttpConnection implements RuntimeConnection {
  readonly handlerKind = 'http';
  readonly clients: HttpClients;
  readonly host: string;
  readonly platformLines: string;
  readonly #exchanges = new MemberSet<HttpExchange>();
  readonly #lost = new Map<HttpExchange, NodeJS.Timeout>();
  /** Hooks that lost their connection; told when it is known whether the server has ended. */
  readonly #lostHooks = new Map<() => void, NodeJS.Timeout>();
  readonly #instanceId: string;
  #broken: { readonly cause: unknown } | undefined;

  constructor(
    address: ServerAddress,
    port: number,
    runnable: ServedFunction & Pick<RunnableVersion, 'freezeAfterMs'>,
    instanceId: string,
  ) {
    const idleMsMax = Math.max(1, Math.min(IDLE_MS_MAX, runnable.freezeAfterMs ?? IDLE_MS_MAX));
    this.clients = new HttpClients({ address, idleMsMax });
    this.host = `127.0.0.1:${port}`;
    this.platformLines = headerLines(platformHeaders(runnable));
    this.#instanceId = instanceId;
  }

  get inFlight(): number {
    return this.#exchanges.size;
  }

  exchange(request: InstanceRequest, sink: ResponseSink): Exchange {
    if (request.kind !== 'http') throw new Error('a web server takes HTTP requests only');
    if (this.#broken !== undefined) throw new Error('the connection to the server is closed');
    const exchange = new HttpExchange(this, request, sink);
    this.#exchanges.add(exchange);
    exchange.start();
    return exchange;
  }

  runHook(hook: HookName, onEnd: (error: ReportedError | undefined) => void): void {
    const path = HOOK_PATHS[hook];
    this.call('GET', path, (answer) => {
      const end = (): void => onEnd(answerError(path, answer));
      if (answer.kind === 'failed' && this.#broken === undefined) this.#endLater(end);
      else end();
    });
  }

  /** The end of a hook gives way to requests, and a server that is about to be known as gone must get none. */
  #endLater(end: () => void): void {
    const timer = setTimeout(() => {
      this.#lostHooks.delete(end);
      end();
    }, EXIT_TOLD_MS_MAX);
    this.#lostHooks.set(end, timer);
  }

  /** Runs `/initialize`; the instance keeps its time. */
  initialize(onEnd: (error: ReportedError | undefined) => void): void {
    this.call('POST', '/initialize', (answer) => onEnd(answerError('/initialize', answer)));
  }

  /** A call of the platform's own; the function that it returns gives it up. */
  call(method: 'GET' | 'POST', path: string, onEnd: (answer: ServerAnswer) => void): () => void {
    const own = headerLines(['x-fc-control-path', path, 'x-fc-request-id', this.#instanceId]);
    const headers = own + this.platformLines;
    return callServer(this.clients, { method, path, headers, host: this.host }, onEnd);
  }

  /** Like `call`, with JSON to bring. */
  post(path: string, body: Buffer, onEnd: (answer: ServerAnswer) => void): () => void {
    const headers = headerLines(['content-type', 'application/json']) + this.platformLines;
    return callServer(this.clients, { method: 'POST', path, headers, host: this.host, body }, onEnd);
  }

  onLost(exchange: HttpExchange, cause: Error): void {
    if (this.#broken !== undefined) {
      exchange.fail({ kind: 'broken', cause });
      return;
    }
    const timer = setTimeout(() => {
      const errorMessage = `the server closed the connection before its answer was complete (${cause.message})`;
      const error = { errorType: 'ConnectionClosed', errorMessage, handled: false, fatal: false };
      exchange.fail({ kind: 'reported', error });
    }, EXIT_TOLD_MS_MAX);
    this.#lost.set(exchange, timer);
  }

  onEnded(exchange: HttpExchange): void {
    this.#exchanges.delete(exchange);
    clearTimeout(this.#lost.get(exchange));
    this.#lost.delete(exchange);
  }

  /** The server is gone: every open exchange and call ends. */
  break(cause: unknown): void {
    if (this.#broken !== undefined) return;
    this.#broken = { cause };
    for (const exchange of this.#exchanges.values()) exchange.fail({ kind: 'broken', cause });
    for (const [end, timer] of this.#lostHooks) {
      clearTimeout(timer);
      end();
    }
    this.#lostHooks.clear();
    this.clients.close();
  }

  close(): void {
    this.break(new Error('the platform closed the connection'));
  }
}

function answerError(path: string, answer: ServerAnswer): ReportedError | undefined {
  if (answer.kind === 'failed') {
    const errorMessage = `${path} was not answered: ${answer.cause.message}`;
    return { errorType: 'ConnectionClosed', errorMessage, handled: false, fatal: false };
  }
  if (answer.status >= 200 && answer.status < 300) return undefined;
  const text = answer.text.trim();
  const errorMessage = `${path} answered with status ${answer.status}${text === '' ? '' : `: ${text}`}`;
  return { errorType: `Http${answer.status}`, errorMessage, handled: false, fatal: false };
}
