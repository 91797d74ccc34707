import { mkdir, rm } from 'node:fs/promises';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { DeadlineWheel } from '../../base/deadline-wheel.ts';
import type { Sandbox, SandboxChange, SandboxDriver } from '../../sandbox/sandbox.ts';
import type { LinkConnection } from '../../transport/link/link-connection.ts';
import type { RuntimeEvents } from '../../transport/runtime-connection.ts';
import type { LogSource } from '../../transport/transport.ts';
import { instanceFiles, type InstanceFiles } from '../instance-layout.ts';
import { InstanceOutput } from '../instance-output.ts';
import { LinkListener } from '../link-listener.ts';
import type { Shims } from '../shims.ts';
import type { StemKind } from './stem-kind.ts';

const BOOT_MS_MAX = 30_000;

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
 * ```
 *
 * It becomes one function's instance, once, or is thrown away. It has never seen anybody's code or variables.
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
  #isWaiting = false;
  #isBroken = false;

  constructor(deps: StemDeps, kind: StemKind, id: string) {
    this.#deps = deps;
    this.kind = kind;
    this.id = id;
    this.#files = instanceFiles(deps.runDirectory, deps.shims.directory, id);
    this.output = new InstanceOutput(deps.wheel, (source, text) => this.#onText(source, text));
    this.#listener = new LinkListener({
      onHello: () => this.#hello.resolve(),
      onInitializing: () => this.#events?.onInitializing(),
      onReady: (kindOfHandler) => this.#events?.onReady(kindOfHandler),
      onStartFailed: (failure) => this.#events?.onStartFailed(failure),
      onLog: (source, text) => this.#events?.onLog(source, text),
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
    this.gone = this.#live();
  }

  /** Booted, and alive as far as anybody knows. */
  get isWaiting(): boolean {
    return this.#isWaiting && !this.#isBroken;
  }

  get isBroken(): boolean {
    return this.#isBroken;
  }

  /** Gives it a function's directories and limits; rejects where it cannot be, and then it is only to be discarded. */
  async become(change: SandboxChange, onText: (source: LogSource, text: string) => void): Promise<Sandbox> {
    await this.booted;
    const sandbox = this.#sandbox;
    if (sandbox === undefined || this.#isBroken) throw this.#failure('it has ended');
    await sandbox.specialize(change);
    if (this.#isBroken) throw this.#failure('it has ended');
    this.#onText = onText;
    return sandbox;
  }

  /** From now on what the runtime says is told to `events`. */
  follow(events: RuntimeEvents): LinkConnection {
    const { link } = this.#listener;
    if (link === undefined || this.#isBroken) throw this.#failure('its link is closed');
    this.#events = events;
    return link;
  }

  discard(): void {
    this.#break('it was thrown away');
    this.#listener.close();
    this.#sandbox?.kill();
  }

  #break(why: string): void {
    this.#isBroken = true;
    const failure = this.#failure(why);
    this.#hello.reject(failure);
    this.#started.reject(failure);
  }

  async #live(): Promise<void> {
    const { wheel, driver, shims } = this.#deps;
    const limit = wheel.set(BOOT_MS_MAX, () => this.discard());
    void this.booted.finally(() => wheel.clear(limit)).catch(() => undefined);
    try {
      await mkdir(this.#files.directory, { recursive: true, mode: 0o755 });
      await shims.prepare(this.kind.interpreter);
      await Promise.all([
        this.output.listen(this.#files.outputSocket),
        this.#listener.listen(this.#files.linkSocket),
      ]);
      const sandbox = await driver.start(this.kind.spec(this.id, this.#files));
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
