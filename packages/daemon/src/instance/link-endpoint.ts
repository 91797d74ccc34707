import type { SandboxSpec } from '../sandbox/sandbox.ts';
import type { LinkConnection } from '../transport/link/link-connection.ts';
import type { RuntimeConnection, RuntimeEvents } from '../transport/runtime-connection.ts';
import { sandboxSpec, specialization } from './instance-layout.ts';
import { isExactMatch, requireInterpreter, type Interpreter } from './interpreters.ts';
import { LinkListener } from './link-listener.ts';
import type { EndpointContext, RuntimeEndpoint } from './runtime-endpoint.ts';
import type { Stem } from './stem/stem.ts';

const BOOT_MS_MAX = 30_000;

/** Languages with a shim of ours: it connects to the instance's socket, is told what it is, and loads the user's code. */
export class LinkEndpoint implements RuntimeEndpoint {
  readonly spec: SandboxSpec;
  readonly bootMsMax = BOOT_MS_MAX;
  readonly #context: EndpointContext;
  readonly #events: RuntimeEvents;
  readonly #interpreter: Interpreter;
  #listener: LinkListener | undefined;
  #link: LinkConnection | undefined;
  #stem: Stem | undefined;

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
    await this.#context.shims.prepare(this.#interpreter, this.#context.runnable.runtime);
    const listener: LinkListener = new LinkListener({
      ...this.#events,
      onHello: () => {
        this.#events.onBooted();
        this.#link = listener.link;
        this.#link?.specialize(this.#specialization());
      },
    });
    this.#listener = listener;
    // One that was lost is no longer of interest.
    this.#stem = undefined;
    this.#link = undefined;
    await listener.listen(this.#context.files.linkSocket);
  }

  /** Its runtime has said hello; it is told what it is when the sandbox is handed over. */
  adopt(stem: Stem): void {
    this.#link = stem.follow(this.#events);
    this.#stem = stem;
  }

  onSandbox(): void {
    // Otherwise the shim connects by itself.
    if (this.#stem === undefined) return;
    if (this.#stem.isLoadedAhead) this.#link?.proceed();
    else this.#link?.specialize(this.#specialization());
  }

  close(): void {
    this.#listener?.close();
    this.#link?.close();
  }

  #specialization(): ReturnType<typeof specialization> {
    const { runnable, instanceId, files, driver } = this.#context;
    return specialization(runnable, instanceId, this.#interpreter, files, driver);
  }
}
