import { chmod, mkdir } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { dirname } from 'node:path';
import type { SandboxSpec } from '../sandbox/sandbox.ts';
import { LinkConnection } from '../transport/link/link-connection.ts';
import type { RuntimeConnection, RuntimeEvents } from '../transport/runtime-connection.ts';
import { sandboxSpec, specialization } from './instance-layout.ts';
import { isExactMatch, requireInterpreter, type Interpreter } from './interpreters.ts';
import { listenOn } from './listen-on.ts';
import type { EndpointContext, RuntimeEndpoint } from './runtime-endpoint.ts';

const BOOT_MS_MAX = 30_000;

/** Languages with a shim of ours: it connects to the instance's socket, is told what it is, and loads the user's code. */
export class LinkEndpoint implements RuntimeEndpoint {
  readonly spec: SandboxSpec;
  readonly bootMsMax = BOOT_MS_MAX;
  readonly #context: EndpointContext;
  readonly #events: RuntimeEvents;
  readonly #interpreter: Interpreter;
  #server: Server | undefined;
  #link: LinkConnection | undefined;

  /** Throws RUNTIME_UNAVAILABLE where the machine lacks the language. */
  constructor(context: EndpointContext, events: RuntimeEvents) {
    const { runnable, instanceId, interpreters, files, driver } = context;
    this.#context = context;
    this.#events = events;
    this.#interpreter = requireInterpreter(interpreters, runnable.runtime);
    this.spec = sandboxSpec(runnable, instanceId, this.#interpreter, files, driver);
    if (!isExactMatch(this.#interpreter, runnable.runtime)) {
      context.note(`runtime ${runnable.runtime} runs on version ${this.#interpreter.fullVersion} here\n`);
    }
  }

  get connection(): RuntimeConnection | undefined {
    return this.#link;
  }

  async open(): Promise<void> {
    await this.#context.shims.prepare(this.#interpreter);
    const { linkSocket } = this.#context.files;
    // Reached by the sandbox's own user through a mount; nobody else gets into the run directory.
    await mkdir(dirname(linkSocket), { recursive: true, mode: 0o755 });
    const server = createServer((socket) => {
      // One runtime, one link: whatever else connects is user code, and gets nothing.
      server.close();
      socket.setNoDelay(true);
      const link: LinkConnection = new LinkConnection(socket, {
        ...this.#events,
        onHello: () => {
          this.#events.onBooted();
          link.specialize(this.#specialization());
        },
      });
      this.#link = link;
    });
    this.#server = server;
    await listenOn(server, linkSocket);
    await chmod(linkSocket, 0o666);
  }

  onSandbox(): void {
    // The shim connects by itself.
  }

  close(): void {
    this.#server?.close();
    this.#link?.close();
  }

  #specialization(): ReturnType<typeof specialization> {
    const { runnable, instanceId, files, driver } = this.#context;
    return specialization(runnable, instanceId, this.#interpreter, files, driver);
  }
}
