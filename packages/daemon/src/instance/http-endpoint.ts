import { LIMITS } from '@thaw/protocol/limits.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { ServerConfig } from '../model/runnable.ts';
import type { Sandbox, SandboxExit, SandboxSpec } from '../sandbox/sandbox.ts';
import { HealthChecks } from '../transport/http/health-check.ts';
import { ActionConnection } from '../transport/http/action-connection.ts';
import { HttpConnection } from '../transport/http/http-connection.ts';
import type { RuntimeConnection, RuntimeEvents } from '../transport/runtime-connection.ts';
import type { EndpointContext, RuntimeEndpoint } from './runtime-endpoint.ts';
import { requireCommand } from './server-command.ts';
import { holdHostPort } from './server-host-ports.ts';
import { serverSpec } from './server-layout.ts';
import { untilListening } from './server-port.ts';

/** The endpoint's own bound comes first: it knows what the server has not done. */
const BOOT_MARGIN_MS = 30_000;

/**
 * A web server of the user's own: started, waited for until it listens on its port and, where that is configured, says
 * that it is well and has initialised. Whatever ends it on the way ends the wait.
 */
export class HttpEndpoint implements RuntimeEndpoint {
  readonly spec: SandboxSpec;
  readonly bootMsMax = LIMITS.serverStartSMax * 1000 + BOOT_MARGIN_MS;
  readonly #context: EndpointContext;
  readonly #events: RuntimeEvents;
  readonly #server: ServerConfig;
  #connection: HttpConnection | undefined;
  /** What the server is called through, where it is an action container. */
  #action: ActionConnection | undefined;
  #health: HealthChecks | undefined;
  #startLimit: NodeJS.Timeout | undefined;
  #stopWaiting: (() => void) | undefined;
  #releasePort: (() => void) | undefined;
  #isUp = false;
  #isClosed = false;

  constructor(context: EndpointContext, events: RuntimeEvents) {
    const { runnable } = context;
    if (runnable.server === undefined) throw new Error(`runtime ${runnable.runtime} has no server`);
    this.#context = context;
    this.#events = events;
    this.#server = runnable.server;
    this.spec = serverSpec(context, runnable.server);
  }

  get connection(): RuntimeConnection | undefined {
    return this.#action ?? this.#connection;
  }

  async open(): Promise<void> {
    const { runnable, driver, note } = this.#context;
    await requireCommand(runnable, this.#server.command);
    if (driver !== 'process') return;
    note(
      `without isolation, port ${this.#server.port} of the machine is the function's: one instance at a time\n`,
    );
    const release = await holdHostPort(this.#server.port);
    if (this.#isClosed) release();
    else this.#releasePort = release;
  }

  onSandbox(sandbox: Sandbox): void {
    const { runnable, instanceId, note } = this.#context;
    const { serverAddress } = sandbox;
    const { port } = this.#server;
    if (serverAddress === undefined) {
      const message = `this machine has no way to a port inside a sandbox, which runtime ${runnable.runtime} needs`;
      throw new ThawError('RUNTIME_UNAVAILABLE', message, { details: { runtime: runnable.runtime } });
    }
    const connection = new HttpConnection(serverAddress, port, runnable, instanceId);
    this.#connection = connection;
    void sandbox.exited.then((exit) => this.#onExit(exit));
    this.#startLimit = setTimeout(() => this.#onStartTimeout(), LIMITS.serverStartSMax * 1000);
    this.#stopWaiting = untilListening(serverAddress, () => {
      const { healthCheck } = this.#server;
      if (healthCheck === undefined) {
        this.#onUp(connection);
        return;
      }
      note(`the server listens on port ${port}; it is asked for ${healthCheck.httpGetUrl}\n`);
      const health = new HealthChecks(healthCheck, connection, runnable.freezeAfterMs !== undefined);
      this.#health = health;
      health.untilHealthy(() => this.#onUp(connection));
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#stop();
    this.#connection?.close();
    this.#releasePort?.();
    this.#releasePort = undefined;
  }

  #onUp(connection: HttpConnection): void {
    if (this.#isClosed) return;
    this.#isUp = true;
    clearTimeout(this.#startLimit);
    this.#events.onBooted();
    if (this.#context.runnable.family === 'action') {
      this.#initializeAction(connection);
      return;
    }
    if (this.#context.runnable.initializer === undefined) {
      this.#onReady(connection);
      return;
    }
    this.#events.onInitializing();
    connection.initialize((error) => {
      if (this.#isClosed) return;
      if (error === undefined) this.#onReady(connection);
      // A server that died over it is told of by its exit, which says how.
      else if (error.errorType !== 'ConnectionClosed')
        this.#events.onStartFailed({ phase: 'initializer', error });
    });
  }

  #initializeAction(connection: HttpConnection): void {
    const action = new ActionConnection(connection, this.#context.runnable);
    this.#action = action;
    action.initialize((error) => {
      if (this.#isClosed) return;
      if (error === undefined) this.#onReady(connection);
      // A container that died over it is told of by its exit, which says how.
      else if (error.errorType !== 'ConnectionClosed') this.#events.onStartFailed({ phase: 'load', error });
    });
  }

  #onReady(connection: HttpConnection): void {
    this.#events.onReady('http');
    this.#health?.watch(() => {
      const cause = new Error(
        `the server failed its health check ${this.#server.healthCheck?.failureThreshold} times`,
      );
      this.#context.note(`${cause.message}; the instance is taken away\n`);
      this.#events.onClosed(cause);
      connection.break(cause);
    });
  }

  /** Before it is up the server's end is a failure of the start, and this says what was waited for. */
  #onExit(exit: SandboxExit): void {
    this.#stop();
    if (!this.#isUp && !this.#isClosed) {
      // What the kernel killed for its memory is told of in the same words everywhere.
      if (exit.outOfMemory) this.#events.onBooted();
      else this.#failStart('ServerExited', `the server ${howItEnded(exit)} before it ${this.#awaited}`);
    }
    const cause = new Error(`the server ${howItEnded(exit)}`);
    if (this.#isUp && !this.#isClosed) this.#events.onClosed(cause);
    this.#connection?.break(cause);
  }

  #onStartTimeout(): void {
    this.#stop();
    const message = `the server had not ${this.#awaited} after ${LIMITS.serverStartSMax} seconds`;
    this.#failStart('ServerNotReady', message);
  }

  #failStart(errorType: string, errorMessage: string): void {
    this.#events.onStartFailed({ phase: 'load', error: { errorType, errorMessage, stackTrace: [] } });
  }

  /** What the start waits for, as something that was done or not. */
  get #awaited(): string {
    const { port, healthCheck } = this.#server;
    return this.#health === undefined
      ? `listened on port ${port} of 0.0.0.0`
      : `answered its health check ${healthCheck?.httpGetUrl}`;
  }

  #stop(): void {
    clearTimeout(this.#startLimit);
    this.#stopWaiting?.();
    this.#health?.stop();
  }
}

function howItEnded({ code, signal }: SandboxExit): string {
  return signal === null ? `exited with code ${code}` : `was ended by ${signal}`;
}
