import { mkdir, rm } from 'node:fs/promises';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { DeadlineWheel } from '../../base/deadline-wheel.ts';
import type { Sandbox, SandboxChange, SandboxDriver } from '../../sandbox/sandbox.ts';
import type { LinkConnection } from '../../transport/link/link-connection.ts';
import type { Specialization } from '../../transport/link/link-messages.ts';
import type { RuntimeEvents } from '../../transport/runtime-connection.ts';
import type { LogSource } from '../../transport/transport.ts';
import { instanceFiles, type InstanceFiles } from '../instance-layout.ts';
import { InstanceOutput } from '../instance-output.ts';
import { LinkListener } from '../link-listener.ts';
import type { Shims } from '../shims.ts';
import type { StemKind } from './stem-kind.ts';

const BOOT_MS_MAX = 30_000;
/** Of what code prints while it is loaded ahead; kept for the log of the instance that comes of it. */
const EARLY_TEXT_CHARACTERS_MAX = 65_536;

export interface StemDeps {
  readonly wheel: DeadlineWheel;
  readonly driver: SandboxDriver;
  readonly runDirectory: string;
  readonly shims: Shims;
}

/**
 * A runtime in its sandbox that has said hello and belongs to nobody yet.
 *
 * ```
 * booting ─▶ waiting ─become─▶ an instance's, until that has ended     any ─discard─▶ gone
 *               └─load─▶ loaded, frozen ─become┘
 * ```
 *
 * It becomes one function's instance, once, or is thrown away. Until `load` it has seen nobody's code or variables; from
 * then on it is that version's and can become an instance of nothing else.
 */
export class Stem {
  readonly id: string;
  readonly kind: StemKind;
  readonly output: InstanceOutput;
  /** Settles when it waits; rejects when it never will. */
  readonly booted: Promise<void>;
  /** Settles when every process is gone and every file is removed. */
  readonly gone: Promise<void>;
  readonly #deps: StemDeps;
  readonly #files: InstanceFiles;
  readonly #listener: LinkListener;
  readonly #hello = Promise.withResolvers<void>();
  readonly #started = Promise.withResolvers<void>();
  #sandbox: Sandbox | undefined;
  #events: RuntimeEvents | undefined;
  #onText: (source: LogSource, text: string) => void = () => undefined;
  #isPreparing = true;
  #isWaiting = false;
  #isBroken = false;
  #loaded: Promise<Sandbox> | undefined;
  #loadFailed: (why: string) => void = () => undefined;
  #onLoaded: () => void = () => undefined;
  /** What was printed while the code was loaded. */
  #early: { readonly source: LogSource; readonly text: string }[] = [];
  #earlyCharacters = 0;

  /** @param cpuShare of what waits for it; absent: nothing does. */
  constructor(deps: StemDeps, kind: StemKind, id: string, cpuShare?: number) {
    this.#deps = deps;
    this.kind = kind;
    this.id = id;
    this.#files = instanceFiles(deps.runDirectory, deps.shims.directory, id);
    this.output = new InstanceOutput(deps.wheel, (source, text) => this.#onText(source, text));
    this.#listener = new LinkListener({
      onHello: () => this.#hello.resolve(),
      onLoaded: () => this.#onLoaded(),
      onInitializing: () => this.#events?.onInitializing(),
      onReady: (kindOfHandler) => this.#events?.onReady(kindOfHandler),
      onStartFailed: (failure) => {
        if (this.#events === undefined) this.#break(failure.error.errorMessage);
        else this.#events.onStartFailed(failure);
      },
      onLog: (source, text) => {
        if (this.#events === undefined) this.#keep(source, text);
        else this.#events.onLog(source, text);
      },
      onClosed: (cause) => {
        this.#break('its runtime closed the link');
        this.#events?.onClosed(cause);
      },
    });
    // The runtime's own word may overtake the launcher's.
    this.booted = Promise.all([this.#hello.promise, this.#started.promise]).then(() => {
      this.#isWaiting = true;
    });
    // Whoever waits learns of it; nobody has to.
    this.booted.catch(() => undefined);
    this.gone = this.#live(cpuShare);
  }

  /** Booted, and alive as far as anybody knows. */
  get isWaiting(): boolean {
    return this.#isWaiting && !this.#isBroken;
  }

  /** What a stem is made ready with takes longer, the first time, than what an ordinary start needs. */
  get isPreparing(): boolean {
    return this.#isPreparing;
  }

  get isBroken(): boolean {
    return this.#isBroken;
  }

  /** Its code has been loaded, or is being loaded, ahead: it is told to go on instead of what it is. */
  get isLoadedAhead(): boolean {
    return this.#loaded !== undefined;
  }

  /** Most memory in use so far, in bytes; undefined where nothing measures it. */
  memoryBytesPeak(): number | undefined {
    return this.#sandbox?.memoryBytesPeak();
  }

  /**
   * Gives it a version's directories and limits and has the code loaded, up to the initializer. Then it is frozen until it
   * becomes an instance. Rejects where the code cannot be loaded; then it is only to be discarded.
   */
  async load(change: SandboxChange, specialization: Specialization, loadMsMax: number): Promise<void> {
    this.#onText = (source, text) => this.#keep(source, text);
    this.#loaded = this.#load(change, specialization, loadMsMax);
    await this.#loaded;
  }

  /** Gives it a function's directories and limits; rejects where it cannot be, and then it is only to be discarded. */
  async become(change: SandboxChange, onText: (source: LogSource, text: string) => void): Promise<Sandbox> {
    if (this.#loaded !== undefined) {
      const loaded = await this.#loaded;
      await loaded.thaw();
      if (this.#isBroken) throw this.#failure('it has ended');
      this.#onText = onText;
      return loaded;
    }
    const sandbox = await this.#specialized(change);
    this.#onText = onText;
    return sandbox;
  }

  /** From now on what the runtime says is told to `events`. */
  follow(events: RuntimeEvents): LinkConnection {
    const { link } = this.#listener;
    if (link === undefined || this.#isBroken) throw this.#failure('its link is closed');
    this.#events = events;
    for (const { source, text } of this.#early.splice(0)) events.onLog(source, text);
    return link;
  }

  discard(): void {
    this.#break('it was thrown away');
    this.#listener.close();
    this.#sandbox?.kill();
  }

  async #specialized(change: SandboxChange): Promise<Sandbox> {
    await this.booted;
    const sandbox = this.#sandbox;
    if (sandbox === undefined || this.#isBroken) throw this.#failure('it has ended');
    await sandbox.specialize(change);
    if (this.#isBroken) throw this.#failure('it has ended');
    return sandbox;
  }

  async #load(change: SandboxChange, specialization: Specialization, loadMsMax: number): Promise<Sandbox> {
    const sandbox = await this.#specialized(change);
    const limit = this.#deps.wheel.set(loadMsMax, () => this.discard());
    try {
      await new Promise<void>((resolve, reject) => {
        this.#onLoaded = resolve;
        this.#loadFailed = (why) => reject(this.#failure(why));
        const { link } = this.#listener;
        if (link === undefined || this.#isBroken) reject(this.#failure('its link is closed'));
        else link.specialize({ ...specialization, hold: true });
      });
    } finally {
      this.#deps.wheel.clear(limit);
    }
    // Threads of the code's own rest too until it is used.
    await sandbox.freeze();
    return sandbox;
  }

  #keep(source: LogSource, text: string): void {
    const kept = text.slice(0, EARLY_TEXT_CHARACTERS_MAX - this.#earlyCharacters);
    if (kept === '') return;
    this.#earlyCharacters += kept.length;
    this.#early.push({ source, text: kept });
  }

  #break(why: string): void {
    this.#isBroken = true;
    this.#loadFailed(why);
    const failure = this.#failure(why);
    this.#hello.reject(failure);
    this.#started.reject(failure);
  }

  async #live(cpuShare: number | undefined): Promise<void> {
    const { wheel, driver, shims } = this.#deps;
    try {
      // Nobody waits for what was thrown away meanwhile.
      await Promise.race([shims.prepareFully(this.kind.interpreter, this.kind.runtime), this.#hello.promise]);
      this.#isPreparing = false;
      const limit = wheel.set(BOOT_MS_MAX, () => this.discard());
      void this.booted.finally(() => wheel.clear(limit)).catch(() => undefined);
      await mkdir(this.#files.directory, { recursive: true, mode: 0o755 });
      await Promise.all([
        this.output.listen(this.#files.outputSocket),
        this.#listener.listen(this.#files.linkSocket),
      ]);
      const sandbox = await driver.start(this.kind.spec(this.id, this.#files, cpuShare));
      this.#sandbox = sandbox;
      this.#started.resolve();
      if (this.#isBroken) sandbox.kill();
      await sandbox.exited;
      await this.output.ended();
      this.#break(this.output.stderrTail.trim().split('\n').at(-1) ?? 'its runtime ended');
    } catch (error) {
      this.#break(error instanceof Error ? error.message : String(error));
    }
    this.#listener.close();
    this.output.close();
    await rm(this.#files.directory, { recursive: true, force: true }).catch(() => undefined);
  }

  #failure(why: string): ThawError {
    return new ThawError('SANDBOX_FAILED', `a stem cannot be used: ${why}`);
  }
}
