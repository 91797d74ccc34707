import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { logToStderr } from './base/platform-log.ts';
import { startDaemon, type Daemon } from './daemon.ts';
import { readCopiesFile } from './image/copies/copies-file.ts';
import { readZoneFile } from './image/imaged/zone-file.ts';

export interface ServeOptions {
  readonly host: string;
  readonly port: number;
  readonly dataDir: string;
  readonly isolation: 'auto' | 'bubblewrap' | 'process';
  /** Absent: the platform's default. */
  readonly stems?: number | undefined;
  /** Absent: the platform's default. */
  readonly loadAhead?: number | undefined;
  readonly preparesCode: boolean;
  readonly readsSmallRequests: boolean;
  readonly collectsBuffers: boolean;
  readonly keepAlive: 'fixed' | 'rhythm';
  /** Whether waiting invocations are begun slowly while many are being accepted. */
  readonly acceptsFirst: boolean;
  /** Whether a thread of the launcher makes networks; programs do otherwise. */
  readonly usesKernelThread: boolean;
  /** Whether sandboxes of Node are made by a resident Python; bwrap makes them otherwise. */
  readonly makesSandboxes: boolean;
  readonly insecureRegistries: readonly string[];
  /** Absent: the platform's defaults. */
  readonly imageCacheBytesMax?: number | undefined;
  readonly imagePrefetchBytesPerSecondMax?: number | undefined;
  readonly imageZoneFile?: string | undefined;
  readonly imageCopiesFile?: string | undefined;
  /** Hosts in private networks that outcomes of invocations may be sent to. */
  readonly destinationHosts: readonly string[];
  /** Directories below which triggers may watch files. */
  readonly watchDirs: readonly string[];
}

/**
 * Runs the platform in this process until it is told to stop: SIGINT and SIGTERM let running invocations finish, a second
 * one does not wait. Settles when everything is closed.
 */
export async function serve(options: ServeOptions): Promise<void> {
  const {
    stems,
    loadAhead,
    imageCacheBytesMax,
    imagePrefetchBytesPerSecondMax,
    imageZoneFile,
    imageCopiesFile,
    ...others
  } = options;
  const daemon = await startDaemon({
    ...others,
    ...(stems === undefined ? {} : { stems }),
    ...(loadAhead === undefined ? {} : { loadAhead }),
    ...(imageCacheBytesMax === undefined ? {} : { imageCacheBytesMax }),
    ...(imagePrefetchBytesPerSecondMax === undefined ? {} : { imagePrefetchBytesPerSecondMax }),
    ...(imageZoneFile === undefined ? {} : { imageZone: readZoneFile(imageZoneFile) }),
    ...(imageCopiesFile === undefined ? {} : { imageCopies: readCopiesFile(imageCopiesFile) }),
    log: logToStderr,
  });
  process.stdout.write(
    `Thaw is listening on ${daemon.url} (isolation: ${daemon.isolation}, data: ${daemon.dataDir})\n`,
  );
  for (const warning of daemon.warnings) warn(warning);
  await stopSignal();
  process.stdout.write('Stopping; running invocations may finish. Once more stops at once.\n');
  void stopSignal().then(() => process.exit(1));
  await close(daemon);
}

async function close(daemon: Daemon): Promise<void> {
  try {
    await daemon.close();
  } catch (error) {
    throw ThawError.from(error, 'stopping the platform');
  }
}

function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => resolve());
    // Started by a wrapper: when it is gone, killed or not, nobody can stop us any more.
    process.once('disconnect', () => resolve());
  });
}

/** A frame that cannot be missed among log lines. */
function warn(text: string): void {
  const line = '!'.repeat(80);
  process.stderr.write(`${line}\n!!! WARNING: ${text}\n${line}\n`);
}
