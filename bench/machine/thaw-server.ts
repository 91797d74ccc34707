/**
 * The platform as `thaw serve` starts it, with limits as the second argument says: what measures 200 instances of one
 * function must be allowed to have them.
 */
import { enableCompileCache } from 'node:module';
import { startDaemon } from '@thaw/daemon/daemon.ts';
import type { CopiesOptions } from '@thaw/daemon/image/copies/layer-copies.ts';

const [dataDir = '', settings = '{}'] = process.argv.slice(2);
const { limits, imageCopies, insecureRegistries, ...mechanisms }: Settings = JSON.parse(settings);

export interface Settings {
  readonly limits?: Readonly<Record<string, number>>;
  readonly stems?: number;
  readonly loadAhead?: number;
  readonly preparesCode?: boolean;
  readonly makesSandboxes?: boolean;
  readonly imageCopies?: CopiesOptions;
  readonly insecureRegistries?: readonly string[];
}

// As the command does it.
enableCompileCache();
const starting = startDaemon({
  host: '127.0.0.1',
  port: 0,
  dataDir,
  isolation: 'auto',
  log: (level, message, error) => {
    if (level === 'error') process.stderr.write(`${message}: ${String(error)}\n`);
  },
  limits: limits ?? {},
  ...mechanisms,
  ...(imageCopies === undefined ? {} : { imageCopies }),
  ...(insecureRegistries === undefined ? {} : { insecureRegistries }),
});
let stopping: Promise<void> | undefined;
/** A terminal tells all of its processes, and the run tells this one again. One that starts is stopped when it serves. */
const stop = (): void => {
  stopping ??= starting.then((daemon) => daemon.close()).finally(() => process.exit(0));
};
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, stop);
// Whoever started this is gone.
process.once('disconnect', stop);
await starting;
