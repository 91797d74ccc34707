import { execFile } from 'node:child_process';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { promisify } from 'node:util';
import { makePostgresCluster } from '@thaw/testkit/local-postgres.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import type { Outside } from './outside.ts';

const run = promisify(execFile);
const PORT = 5432;

/** A database server outside, with a fresh cluster of its own; gives the address that clients connect to. */
export async function startPostgres(t: TestContext, outside: Outside, bin: string): Promise<string> {
  const cluster = await makePostgresCluster(t, bin);
  const [command, ...args] = cluster.command([
    `listen_addresses=${outside.address}`,
    `port=${PORT}`,
    'unix_socket_directories=',
    'wal_level=logical',
    'fsync=off',
    'log_min_messages=panic',
  ]);
  // SIGINT asks for a stop that waits for no client.
  outside.start(command, args, { cwd: cluster.directory, stopSignal: 'SIGINT' });
  const ready = ['--quiet', '--host', outside.address, '--port', String(PORT)];
  await waitFor('the database to take connections', () =>
    run(join(bin, 'pg_isready'), ready).then(
      () => true,
      () => undefined,
    ),
  );
  return `postgres://thaw@${outside.address}:${PORT}/postgres`;
}
