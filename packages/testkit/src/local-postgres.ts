import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, chown, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { promisify } from 'node:util';
import { afterTest } from './after-test.ts';
import { temporaryDirectory } from './platform.ts';
import { waitFor } from './wait-for.ts';

const run = promisify(execFile);
/** PostgreSQL refuses to run as root. */
const USER = 'nobody';
/** Where Debian's packages put the programs of each version. */
const VERSIONS = '/usr/lib/postgresql';

/** Everybody is let in as whom he says that he is, but for the user `guarded`, who must know a password. */
const ACCESS = ['local', 'host'].flatMap((kind) => {
  const address = kind === 'host' ? '0.0.0.0/0 ' : '';
  return ['all', 'replication'].flatMap((databases) => [
    `${kind} ${databases} guarded ${address}scram-sha-256`,
    `${kind} ${databases} all ${address}trust`,
  ]);
});

/** Directory of the newest PostgreSQL on this machine. */
export async function postgresPrograms(): Promise<string | undefined> {
  const versions = (await readdir(VERSIONS).catch(() => [])).toSorted((a, b) => Number(b) - Number(a));
  return versions
    .map((version) => join(VERSIONS, version, 'bin'))
    .find((bin) => existsSync(join(bin, 'initdb')));
}

/** A fresh cluster whose owner is a user that may run a server. Its superuser is `thaw`. */
export interface PostgresCluster {
  readonly directory: string;
  /** The command that runs the server, as the right user, with these settings. */
  command(settings: readonly string[]): readonly [string, ...string[]];
}

export async function makePostgresCluster(t: TestContext, bin: string): Promise<PostgresCluster> {
  const directory = await temporaryDirectory(t, 'thaw-postgres-');
  await chmod(directory, 0o700);
  const owner = process.getuid?.() === 0 ? await idsOf(USER) : undefined;
  if (owner !== undefined) await chown(directory, owner.uid, owner.gid);
  const initdb = ['--no-sync', '--auth=trust', '--username=thaw', '--encoding=UTF8', '--locale=C'];
  await run(join(bin, 'initdb'), [...initdb, '--pgdata', directory], { ...owner, cwd: directory });
  await writeFile(join(directory, 'pg_hba.conf'), `${ACCESS.join('\n')}\n`);
  const asOwner =
    owner === undefined
      ? []
      : ['setpriv', `--reuid=${owner.uid}`, `--regid=${owner.gid}`, '--clear-groups', '--'];
  return {
    directory,
    command: (settings) => {
      const options = settings.flatMap((setting) => ['-c', setting]);
      const [first = '', ...others] = [...asOwner, join(bin, 'postgres'), '-D', directory, ...options];
      return [first, ...others];
    },
  };
}

/** A server of the test's own, reached by a socket in its directory, so that it needs no port of the machine. */
export interface LocalPostgres {
  /** As the superuser `thaw`. */
  readonly url: string;
  urlOf(user: string, password: string): string;
  start(settings?: readonly string[]): Promise<void>;
  /** `fast`: ends connections and stops; `kill`: as a crash of its machine would. */
  stop(how?: 'fast' | 'kill'): Promise<void>;
}

/** Not started yet. It is stopped, and its directory removed, when the test ends. */
export async function makeLocalPostgres(t: TestContext, bin: string): Promise<LocalPostgres> {
  const cluster = await makePostgresCluster(t, bin);
  const sockets = await temporaryDirectory(t, 'thaw-pg-');
  await chmod(sockets, 0o777);
  let server: ChildProcess | undefined;
  const stop = async (how: 'fast' | 'kill' = 'fast'): Promise<void> => {
    const running = server;
    server = undefined;
    if (running === undefined || running.exitCode !== null || running.signalCode !== null) return;
    await new Promise((resolve) => {
      running.once('exit', resolve);
      // SIGQUIT is the immediate shutdown: all of its processes end without a word, and the log is replayed at the start.
      running.kill(how === 'fast' ? 'SIGINT' : 'SIGQUIT');
    });
  };
  afterTest(t, () => stop('kill'));
  const urlOf = (user: string, password: string): string =>
    `postgres://${user}${password === '' ? '' : `:${password}`}@localhost/postgres?host=${encodeURIComponent(sockets)}`;
  return {
    url: urlOf('thaw', ''),
    urlOf,
    stop,
    start: async (settings = []) => {
      const [command, ...args] = cluster.command([
        'listen_addresses=',
        `unix_socket_directories=${sockets}`,
        'fsync=off',
        'log_min_messages=panic',
        ...settings,
      ]);
      const started = spawn(command, args, { cwd: cluster.directory, stdio: 'ignore' });
      server = started;
      await waitFor(
        'the database to take connections',
        () => {
          if (started.exitCode !== null) throw new Error(`the database ended with ${started.exitCode}`);
          return run(join(bin, 'pg_isready'), ['--quiet', '--host', sockets]).then(
            () => true,
            () => undefined,
          );
        },
        120_000,
      );
    },
  };
}

async function idsOf(user: string): Promise<{ readonly uid: number; readonly gid: number }> {
  const [uid, gid] = await Promise.all(
    ['-u', '-g'].map(async (what) => Number((await run('id', [what, user])).stdout)),
  );
  if (uid === undefined || gid === undefined) throw new Error(`there is no user ${user}`);
  return { uid, gid };
}
