import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { appendFile, chmod, chown, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { promisify } from 'node:util';
import { temporaryDirectory } from '@thaw/testkit/platform.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import type { Outside } from './outside.ts';

const run = promisify(execFile);
const PORT = 5432;
/** PostgreSQL refuses to run as root. */
const USER = 'nobody';
/** Where Debian's packages put the programs of each version. */
const VERSIONS = '/usr/lib/postgresql';

/** Directory of the newest PostgreSQL on this machine. */
export async function postgresPrograms(): Promise<string | undefined> {
  const versions = (await readdir(VERSIONS).catch(() => [])).toSorted((a, b) => Number(b) - Number(a));
  return versions
    .map((version) => join(VERSIONS, version, 'bin'))
    .find((bin) => existsSync(join(bin, 'initdb')));
}

/** A database server outside, with a fresh cluster of its own; gives the address that clients connect to. */
export async function startPostgres(t: TestContext, outside: Outside, bin: string): Promise<string> {
  const directory = await temporaryDirectory(t, 'thaw-postgres-');
  const [uid, gid] = await Promise.all(
    ['-u', '-g'].map(async (what) => Number((await run('id', [what, USER])).stdout)),
  );
  if (uid === undefined || gid === undefined) throw new Error(`there is no user ${USER}`);
  await chown(directory, uid, gid);
  await chmod(directory, 0o700);
  const options = { uid, gid, cwd: directory };
  const initdb = ['--no-sync', '--auth=trust', '--username=thaw', '--encoding=UTF8', '--locale=C'];
  await run(join(bin, 'initdb'), [...initdb, '--pgdata', directory], options);
  await appendFile(join(directory, 'pg_hba.conf'), 'host all all 0.0.0.0/0 trust\n');
  const settings = [
    `listen_addresses=${outside.address}`,
    `port=${PORT}`,
    'unix_socket_directories=',
    'fsync=off',
    'log_min_messages=panic',
  ].flatMap((setting) => ['-c', setting]);
  const asUser = [`--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', '--'];
  const server = [join(bin, 'postgres'), '-D', directory, ...settings];
  // SIGINT asks for a stop that waits for no client.
  outside.start('setpriv', [...asUser, ...server], { cwd: directory, stopSignal: 'SIGINT' });
  const ready = ['--quiet', '--host', outside.address, '--port', String(PORT)];
  await waitFor('the database to take connections', () =>
    run(join(bin, 'pg_isready'), ready).then(
      () => true,
      () => undefined,
    ),
  );
  return `postgres://thaw@${outside.address}:${PORT}/postgres`;
}
