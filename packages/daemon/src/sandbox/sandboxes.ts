import { totalmem } from 'node:os';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Clock } from '../base/clock.ts';
import { LauncherClient } from './launcher-client.ts';
import type { Isolation } from './launcher/messages.ts';
import type { Sandbox, SandboxDriver, SandboxExit, SandboxSpec } from './sandbox.ts';

export interface SandboxesOptions {
  /** A directory of this platform alone, on a local disk, mode 700; made when missing. One daemon at a time. */
  readonly runDirectory: string;
  /** `auto`: bubblewrap where it works, otherwise `process` with a warning. */
  readonly isolation: Isolation;
  /** Absent: true; see `LauncherOptions`. */
  readonly kernelThread?: boolean;
  /** Absent: as many as are usual; see `LauncherOptions`. */
  readonly spareNetworks?: number | undefined;
  /** Absent: what suits the machine, or none where none are made ahead at all; see `LauncherOptions`. */
  readonly idleNetworks?: number | undefined;
  readonly clock: Clock;
  /** For the operator: what was changed on the machine, a launcher that died. */
  readonly log: (text: string) => void;
  /** A network namespace's file that takes the host's place; the daemon's own when absent. */
  readonly hostNetwork?: string | undefined;
}

export interface Sandboxes {
  readonly driver: SandboxDriver;
  /** Not to be missed by the operator: isolation that was hoped for and is not there. */
  readonly warnings: readonly string[];
  /** For tests of its death. */
  readonly launcherPid: () => number | undefined;
  close(): Promise<void>;
}

/**
 * A launcher that dies within this time of being opened is not replaced until the next start asks for one, so that a
 * launcher that cannot live does not keep the machine busy.
 */
const LAUNCHER_LIFE_MS_MIN = 1000;
/** Making one takes a lock of the whole machine, which those that start would wait for. */
const SPARE_NETWORKS_DEFAULT = 16;
/** One takes some 200 KB of the kernel's memory: a third of a percent of what the machine has, and not more than so many. */
const IDLE_NETWORKS_MAX = 256;
const BYTES_PER_IDLE_NETWORK = 64 * 1024 * 1024;
const LOST: SandboxExit = { code: null, signal: 'SIGKILL', outOfMemory: false };

/** Starts the launcher, clears what an earlier one left, and rejects with RUNTIME_UNAVAILABLE where it must. */
export async function openSandboxes(options: SandboxesOptions): Promise<Sandboxes> {
  const line = new LauncherLine(options);
  try {
    const { driver: name, shortcomings, warnings, cannotSpecialize } = await line.current.opened;
    return {
      driver: { name, shortcomings, cannotSpecialize, start: (spec) => line.start(spec) },
      warnings,
      launcherPid: () => line.current.pid,
      close: () => line.close(),
    };
  } catch (error) {
    await line.close();
    throw error;
  }
}

/** The launchers of one platform, one after the other. */
class LauncherLine {
  current: LauncherClient;
  readonly #options: SandboxesOptions;
  #openedAtMs = 0;
  #replacing: Promise<void> | undefined;
  #isClosed = false;

  constructor(options: SandboxesOptions) {
    this.#options = options;
    this.current = this.#launch();
  }

  async start(spec: SandboxSpec): Promise<Sandbox> {
    if (this.#isClosed)
      throw new ThawError('SHUTTING_DOWN', `starting sandbox ${spec.id}: the sandboxes are closed`);
    if (this.current.isGone && this.#replacing === undefined) this.#replace(this.current);
    await this.#replacing;
    return this.current.start(spec);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#replacing;
    await this.current.close();
    for (const orphan of this.current.orphans()) orphan.settle(LOST);
  }

  #launch(): LauncherClient {
    const { runDirectory, isolation, hostNetwork, log, clock } = this.#options;
    const { kernelThread = true, spareNetworks = SPARE_NETWORKS_DEFAULT } = this.#options;
    const { idleNetworks = spareNetworks === 0 ? 0 : idleNetworksOf(totalmem()) } = this.#options;
    const launcher = new LauncherClient({
      runDirectory,
      isolation,
      kernelThread,
      spareNetworks,
      idleNetworks,
      hostNetwork,
      note: log,
    });
    this.#openedAtMs = clock.monotonicMs();
    void launcher.gone.then(() => {
      if (this.#isClosed) return;
      log('the launcher process ended; its sandboxes are lost');
      const isShortLived = clock.monotonicMs() - this.#openedAtMs < LAUNCHER_LIFE_MS_MIN;
      if (!isShortLived || launcher.hasRunning) this.#replace(launcher);
    });
    return launcher;
  }

  /** The sandboxes of the dead launcher have ended when its successor has cleared them away. */
  #replace(dead: LauncherClient): void {
    this.current = this.#launch();
    const { current } = this;
    this.#replacing = current.opened
      .then(
        () => undefined,
        (error: unknown) => {
          this.#options.log(`the launcher process could not be replaced: ${String(error)}`);
        },
      )
      .finally(() => {
        for (const orphan of dead.orphans()) orphan.settle(LOST);
        this.#replacing = undefined;
      });
  }
}

function idleNetworksOf(memoryBytes: number): number {
  return Math.min(IDLE_NETWORKS_MAX, Math.floor(memoryBytes / BYTES_PER_IDLE_NETWORK));
}
