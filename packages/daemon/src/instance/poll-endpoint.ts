import { createServer, type Server } from 'node:http';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { LoopbackListener } from '../sandbox/loopback-listener.ts';
import type { Sandbox, SandboxSpec } from '../sandbox/sandbox.ts';
import { PollConnection } from '../transport/poll/poll-connection.ts';
import type { RuntimeDialect } from '../transport/poll/runtime-dialect.ts';
import type { RuntimeConnection, RuntimeEvents, StartFailure } from '../transport/runtime-connection.ts';
import { HttpEndpoint } from './http-endpoint.ts';
import { runtimeApiVariables } from './runtime-api-variables.ts';
import type { EndpointContext, RuntimeEndpoint } from './runtime-endpoint.ts';

/** Where AWS Lambda's own is, inside. Without isolation it is any free port. */
const RUNTIME_API_PORT = 9001;

/**
 * A program of the user's own that may be a web server or may poll a runtime API: which of the two shows when its port
 * listens or its first poll arrives, and the other way is given up. The API of an instance is reached from inside that
 * instance alone: its socket was made in the sandbox's network (`SandboxSpec.loopbackPort`), and no address leads to it.
 */
export class PollEndpoint implements RuntimeEndpoint {
  readonly bootMsMax: number;
  readonly #context: EndpointContext;
  readonly #events: RuntimeEvents;
  readonly #server: HttpEndpoint;
  readonly #poll: PollConnection;
  readonly #api: Server;
  #listener: LoopbackListener | undefined;
  #chosen: 'server' | 'poll' | undefined;
  #port = RUNTIME_API_PORT;
  #isClosed = false;

  constructor(context: EndpointContext, events: RuntimeEvents) {
    this.#context = context;
    this.#events = events;
    this.#server = new HttpEndpoint(context, this.#serverEvents());
    this.bootMsMax = this.#server.bootMsMax;
    this.#poll = new PollConnection(context.runnable, {
      onFirstPoll: (dialect) => this.#onFirstPoll(dialect),
      onInitError: (error) => this.#onInitError({ phase: 'load', error }),
      onLog: (source, text) => events.onLog(source, text),
      onClosed: (cause) => {
        if (this.#chosen === 'poll') events.onClosed(cause);
      },
    });
    // A poll waits as long as there is no work, and an instance may be frozen over it.
    this.#api = createServer({ requestTimeout: 0, keepAliveTimeout: 0 }, (request, response) => {
      const { access } = this.#context;
      const [path = '/'] = (request.url ?? '/').split('?', 1);
      if (access?.owns(request.method ?? 'GET', path) === true) access.handle(request, response);
      else this.#poll.handle(request, response);
    });
  }

  /** Complete from `open` on. */
  get spec(): SandboxSpec {
    const { spec } = this.#server;
    return {
      ...spec,
      environment: runtimeApiVariables(this.#context, spec, `127.0.0.1:${this.#port}`),
      ...(this.#context.driver === 'process' ? {} : { loopbackPort: RUNTIME_API_PORT }),
    };
  }

  get connection(): RuntimeConnection | undefined {
    return this.#chosen === 'poll' ? this.#poll : this.#server.connection;
  }

  async open(): Promise<void> {
    await this.#server.open();
    if (this.#context.driver !== 'process') return;
    await new Promise<void>((resolve, reject) => {
      // Settled, it stands for connections that cannot be taken.
      this.#api.on('error', reject);
      this.#api.listen(0, '127.0.0.1', resolve);
    });
    const address = this.#api.address();
    if (typeof address === 'object' && address !== null) this.#port = address.port;
  }

  onSandbox(sandbox: Sandbox): void {
    const { listener } = sandbox;
    if (this.#context.driver !== 'process') {
      if (listener === undefined)
        throw new ThawError('SANDBOX_FAILED', 'the sandbox came up without its runtime API');
      this.#listener = listener;
      listener.accept((socket) => this.#api.emit('connection', socket));
    }
    void sandbox.exited.then(() => this.#poll.onExit());
    this.#server.onSandbox(sandbox);
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#listener?.close();
    this.#api.close();
    this.#server.close();
    this.#poll.close();
    this.#api.closeAllConnections();
  }

  #onFirstPoll(dialect: RuntimeDialect): void {
    if (this.#chosen !== undefined || this.#isClosed) return;
    const { runnable, note } = this.#context;
    this.#chosen = 'poll';
    this.#server.close();
    this.#events.onBooted();
    if (runnable.initializer === undefined || !dialect.runsHooks) {
      if (runnable.initializer !== undefined)
        note(
          `the runtime API ${dialect.name} knows no initializer; what the program does before it polls is one\n`,
        );
      this.#events.onReady('event');
      return;
    }
    this.#events.onInitializing();
    this.#poll.initialize((error) => {
      if (this.#isClosed) return;
      if (error === undefined) this.#events.onReady('event');
      else if (error.errorType !== 'ProcessExited')
        this.#events.onStartFailed({ phase: 'initializer', error });
    });
  }

  #onInitError(failure: StartFailure): void {
    if (this.#chosen === undefined) this.#events.onStartFailed(failure);
  }

  /** The server's, until the program has polled. */
  #serverEvents(): RuntimeEvents {
    const choose = (): boolean => {
      this.#chosen ??= 'server';
      return this.#chosen === 'server';
    };
    return {
      onBooted: () => {
        if (choose()) this.#events.onBooted();
      },
      onInitializing: () => {
        if (choose()) this.#events.onInitializing();
      },
      onReady: (kind) => {
        if (choose()) this.#events.onReady(kind);
      },
      onStartFailed: (failure) => {
        if (this.#chosen === 'poll') return;
        const errorMessage = `${failure.error.errorMessage}${
          this.#chosen === undefined ? ', nor did it poll the runtime API' : ''
        }`;
        this.#events.onStartFailed({ ...failure, error: { ...failure.error, errorMessage } });
      },
      onLog: (source, text) => this.#events.onLog(source, text),
      onClosed: (cause) => {
        if (this.#chosen !== 'poll') this.#events.onClosed(cause);
      },
    };
  }
}
