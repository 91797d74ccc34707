import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { logToStderr } from './base/platform-log.ts';
import { startDaemon, type Daemon } from './daemon.ts';
import type { DaemonOptions } from './daemon-options.ts';
import { readCopiesFile } from './image/copies/copies-file.ts';
import { readZoneFile } from './image/imaged/zone-file.ts';

/** As the command line has them: none is left out, so that no flag is lost on the way; what is kept in files is named. */
export interface ServeOptions extends Required<
  Omit<DaemonOptions, 'log' | 'limits' | 'imageZone' | 'imageCopies'>
> {
  readonly imageZoneFile: string | undefined;
  readonly imageCopiesFile: string | undefined;
}

/**
 * Runs the platform in this process until it is told to stop: SIGINT and SIGTERM let running invocations finish, a second
 * one does not wait. Settles when everything is closed.
 */
export async function serve({ imageZoneFile, imageCopiesFile, ...others }: ServeOptions): Promise<void> {
  const daemon = await startDaemon({
    ...others,
    imageZone: imageZoneFile === undefined ? undefined : readZoneFile(imageZoneFile),
    imageCopies: imageCopiesFile === undefined ? undefined : readCopiesFile(imageCopiesFile),
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
