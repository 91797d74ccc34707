import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import type { HotConfig } from '../model/runnable.ts';
import type { Sandbox, SandboxSpec } from '../sandbox/sandbox.ts';
import type { RuntimeConnection, RuntimeEvents } from '../transport/runtime-connection.ts';
import { HotConnection } from '../transport/stdio/hot-connection.ts';
import { ProcessConnection } from '../transport/stdio/process-connection.ts';
import { configVariables } from '../transport/stdio/request-variables.ts';
import { waitingCommand } from '../transport/stdio/request-starter.ts';
import { listenOn } from './listen-on.ts';
import { inCode, programSpec } from './program-layout.ts';
import type { EndpointContext, RuntimeEndpoint } from './runtime-endpoint.ts';
import { requireCommand } from './server-command.ts';

const BOOT_MS_MAX = 30_000;
/** From the exit until the caller has read what is left of its answer. */
const LAST_ANSWER_MS_MAX = 5_000;

/**
 * A program that speaks on its stdin and stdout: hot functions of IronFunctions. It has no way to say that it is ready, so
 * it is when it runs; what it is given before it reads waits in its stdin. With format `default` an instance is one
 * process that serves one request.
 */
export class StdioEndpoint implements RuntimeEndpoint {
  readonly spec: SandboxSpec;
  readonly bootMsMax = BOOT_MS_MAX;
  readonly #context: EndpointContext;
  readonly #events: RuntimeEvents;
  readonly #hot: HotConfig;
  readonly #stdioSocket: string;
  readonly #connected = Promise.withResolvers<Socket>();
  #server: Server | undefined;
  #stdio: Socket | undefined;
  #connection: HotConnection | ProcessConnection | undefined;
  #isClosed = false;

  constructor(context: EndpointContext, events: RuntimeEvents) {
    const { runnable, files, driver } = context;
    if (runnable.hot === undefined) throw new Error(`runtime ${runnable.runtime} has no hot function`);
    this.#context = context;
    this.#events = events;
    this.#hot = runnable.hot;
    this.#stdioSocket = join(files.directory, 'io');
    const { command, format } = runnable.hot;
    const [program, ...args] = command;
    const own: [string, ...string[]] = [
      inCode(program, driver === 'process' ? runnable.codeDirectory : '/code'),
      ...args,
    ];
    const spec = programSpec(context, format === 'default' ? waitingCommand(own) : own);
    this.spec = {
      ...spec,
      // What is set already means what it means.
      environment: { ...Object.fromEntries(configVariables(runnable.environment)), ...spec.environment },
      stdioSocket: this.#stdioSocket,
    };
  }

  get connection(): RuntimeConnection | undefined {
    return this.#connection;
  }

  async open(): Promise<void> {
    // With format `default` it is the shell that is started, and it would find a wrong command only with the first request.
    await requireCommand(this.#context.runnable, this.#hot.command);
    const server = createServer((socket) => {
      // The launcher connects once and hands the connection to the program.
      server.close();
      this.#stdio = socket;
      socket.pause();
      socket.on('error', () => socket.destroy());
      this.#connected.resolve(socket);
    });
    this.#server = server;
    // A connection that cannot be taken is one that the start waits for in vain, and that has a bound.
    server.on('error', () => undefined);
    await listenOn(server, this.#stdioSocket);
  }

  onSandbox(sandbox: Sandbox): void {
    void this.#connected.promise.then((stdio) => {
      if (this.#isClosed) return;
      const { environment } = this.#context.runnable;
      const events = { onClosed: (cause: unknown) => this.#events.onClosed(cause) };
      this.#connection =
        this.#hot.format === 'http'
          ? new HotConnection(stdio, environment, events)
          : new ProcessConnection(stdio, sandbox.exited, events);
      this.#events.onBooted();
      this.#events.onReady('http');
    });
  }

  /** The end of stdout is told on another channel than the end of the process, and an answer may wait for its reader. */
  async ended(): Promise<void> {
    const connection = this.#connection;
    if (connection === undefined) return;
    const limit = setTimeout(() => connection.close(), LAST_ANSWER_MS_MAX);
    await connection.settled;
    clearTimeout(limit);
  }

  close(): void {
    this.#isClosed = true;
    this.#server?.close();
    this.#connection?.close();
    this.#stdio?.destroy();
  }
}
