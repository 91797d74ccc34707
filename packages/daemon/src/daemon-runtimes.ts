import { totalmem } from 'node:os';
import { join } from 'node:path';
import type { Clock } from './base/clock.ts';
import type { DataDirectory } from './base/data-directory.ts';
import type { DeadlineWheel } from './base/deadline-wheel.ts';
import type { DaemonOptions } from './daemon-options.ts';
import { findInterpreters, type Interpreter } from './instance/interpreters.ts';
import { LoadedStems } from './instance/loaded/loaded-stems.ts';
import { PreparedCode } from './instance/prepared/prepared-code.ts';
import { Shims } from './instance/shims.ts';
import { makerOf, type StemPlaces } from './instance/stem/stem-kind.ts';
import { StemPool } from './instance/stem/stem-pool.ts';
import { openSandboxes, type Sandboxes } from './sandbox/sandboxes.ts';
import type { LogStore } from './telemetry/log-store/log-store.ts';

const STEMS_DEFAULT = 2;
/** Of the machine's memory, what stems may have besides, each counted with what a booted Node takes. */
const STEM_MEMORY_SHARE = 0.05;
const STEM_MB = 64;
const STEMS_MAX = 32;
const LOAD_AHEAD_DEFAULT = 8;
/** Of the machine's memory, what stems with loaded code may have used. */
const LOADED_MEMORY_SHARE = 0.1;

export interface DaemonRuntimesDeps {
  readonly data: Pick<DataDirectory, 'path' | 'runDirectory'>;
  readonly clock: Clock;
  readonly wheel: DeadlineWheel;
  readonly logs: LogStore;
  readonly options: DaemonOptions;
}

export interface DaemonRuntimes {
  readonly sandboxes: Sandboxes;
  readonly interpreters: readonly Interpreter[];
  readonly shims: Shims;
  readonly prepared: PreparedCode;
  readonly stems: StemPool;
  readonly loaded: LoadedStems;
}

/** Opens all that instances are started from, generic runtimes that are kept ready included; `open` closes it. */
export async function openDaemonRuntimes(
  open: AsyncDisposableStack,
  { data, clock, wheel, logs, options }: DaemonRuntimesDeps,
): Promise<DaemonRuntimes> {
  const { log } = options;
  const { runDirectory } = data;
  const isEnabled = options.preparesCode ?? true;
  const [sandboxes, interpreters] = await Promise.all([
    openSandboxes({
      runDirectory,
      isolation: options.isolation,
      kernelThread: options.usesKernelThread ?? true,
      spareNetworks: options.spareNetworks,
      idleNetworks: options.idleNetworks,
      clock,
      log: (text) => log('info', text),
    }),
    findInterpreters(process.env['PATH'] ?? ''),
  ]);
  open.defer(() => sandboxes.close());
  const { driver } = sandboxes;
  const shims = open.adopt(
    await Shims.install(data.path, interpreters, { driver, wheel, runDirectory, isEnabled, log }),
    (opened) => opened.close(),
  );
  const prepared = open.adopt(
    new PreparedCode({
      directory: join(data.path, 'prepared'),
      isEnabled,
      driver,
      wheel,
      runDirectory,
      shims: shims.directory,
      interpreters,
      shimReady: (interpreter, runtime) => shims.prepare(interpreter, runtime),
      log,
      onUnloadable: ({ functionName, versionId }, reason) =>
        logs.append({
          time: clock.now(),
          functionName,
          versionId,
          requestId: '',
          instanceId: '',
          source: 'platform',
          text: `the code cannot be loaded: ${reason}`,
        }),
    }),
    (opened) => opened.close(),
  );

  const maker = options.makesSandboxes === false ? undefined : makerOf(interpreters, shims.directory);
  if (maker === undefined && options.makesSandboxes !== false && driver.cannotSpecialize === undefined)
    log(
      'info',
      'Node functions start at more cost: there is no Python in /usr that could make their sandboxes',
    );
  const places: StemPlaces = {
    interpreters,
    runDirectory,
    shimsDirectory: shims.directory,
    cannotSpecialize: driver.cannotSpecialize,
    maker,
    forks: options.forksPython ?? true,
  };
  const stemMemoryMb = (totalmem() / 1024 / 1024) * STEM_MEMORY_SHARE;
  const stems = open.adopt(
    new StemPool({
      clock,
      wheel,
      driver,
      runDirectory,
      shims,
      places,
      base: options.stems ?? STEMS_DEFAULT,
      totalMax: Math.min(STEMS_MAX, Math.floor(stemMemoryMb / STEM_MB)),
      log,
    }),
    (pool) => pool.close(),
  );
  const loaded = open.adopt(
    new LoadedStems({
      clock,
      wheel,
      log,
      stems,
      places,
      max: options.loadAhead ?? LOAD_AHEAD_DEFAULT,
      memoryBytesMax: totalmem() * LOADED_MEMORY_SHARE,
      prepared: (runnable) => prepared.apply(runnable),
      // The first call then takes the code as it is.
      onFailed: (runnable) => prepared.drop(runnable),
    }),
    (opened) => opened.close(),
  );
  return { sandboxes, interpreters, shims, prepared, stems, loaded };
}
