import { existsSync, lstatSync, readlinkSync } from 'node:fs';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  findInterpreters,
  requireInterpreter,
  type Interpreter,
} from '@thaw/daemon/instance/interpreters.ts';
import type { BenchContext } from '../context.ts';
import { findProgram } from '../machine/program.ts';

/** Directories of the host that a program needs to run; the rest of the sandbox is empty. */
const HOST_DIRECTORIES = ['/usr', '/bin', '/sbin', '/lib', '/lib64', '/etc'];

/** What is run in the sandbox of a well-kept program, with nothing of Thaw in it. */
export interface PlainProgram {
  readonly interpreter: Interpreter;
  /** Behind the interpreter; the code is in `/code`. */
  readonly args: readonly string[];
  readonly codeDirectory: string;
  /** Mounted at `/run/bench`, for a socket. */
  readonly socketDirectory: string;
}

export interface Sandbox {
  readonly name: string;
  command(program: PlainProgram): Promise<readonly [string, ...string[]]>;
}

/** The interpreter that Thaw itself would take for this runtime. */
export async function interpreterOf(runtime: string): Promise<Interpreter> {
  return requireInterpreter(await findInterpreters(process.env['PATH'] ?? ''), runtime);
}

/** A bare bubblewrap with its own namespaces: less than what Thaw sets up. A text: why there is none. */
export function plainBubblewrap(): Sandbox | string {
  const bwrap = findProgram('bwrap');
  if (bwrap === undefined) return 'bwrap is not on this machine (Debian: bubblewrap)';
  return {
    name: 'bwrap',
    command: ({ interpreter, args, codeDirectory, socketDirectory }) => {
      const host = hostDirectories().flatMap(({ path, link }) =>
        link === undefined ? ['--ro-bind', path, path] : ['--symlink', link, path],
      );
      return Promise.resolve([
        bwrap,
        ...host,
        // The interpreter may be of a clone below it.
        ...['--tmpfs', '/tmp'],
        ...['--ro-bind-try', interpreter.root, interpreter.root],
        ...['--ro-bind', codeDirectory, '/code', '--bind', socketDirectory, '/run/bench'],
        ...['--proc', '/proc', '--dev', '/dev', '--unshare-all', '--die-with-parent'],
        ...['--chdir', '/code', interpreter.path, ...args],
      ]);
    },
  };
}

/** `runc run` with a bundle of the same mounts and namespaces. */
export function plainRunc(context: BenchContext): Sandbox | string {
  const runc = findProgram('runc');
  if (runc === undefined) return 'runc is not on this machine (Debian: runc)';
  if (process.getuid?.() !== 0) return 'runc needs root here';
  let number = 0;
  return {
    name: 'runc',
    command: async (program) => {
      number += 1;
      const bundle = await bundleOf(context, program);
      return [runc, 'run', '--bundle', bundle, `thaw-bench-${process.pid}-${number}`];
    },
  };
}

async function bundleOf(context: BenchContext, program: PlainProgram): Promise<string> {
  const bundle = await context.directory();
  const { interpreter, args, codeDirectory, socketDirectory } = program;
  const host = hostDirectories();
  const root = join(bundle, 'rootfs');
  await mkdir(root, { recursive: true });
  for (const { path, link } of host) if (link !== undefined) await symlink(link, join(root, path));
  const bind = (source: string, destination: string, mode: 'ro' | 'rw'): object => ({
    source,
    destination,
    type: 'bind',
    options: ['rbind', mode],
  });
  const config = {
    ociVersion: '1.0.2',
    root: { path: 'rootfs', readonly: false },
    process: {
      terminal: false,
      user: { uid: 0, gid: 0 },
      cwd: '/code',
      args: [interpreter.path, ...args],
      env: ['PATH=/usr/bin:/bin', 'HOME=/tmp'],
      noNewPrivileges: true,
    },
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc' },
      { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'mode=755'] },
      { destination: '/tmp', type: 'tmpfs', source: 'tmpfs', options: ['mode=1777'] },
      ...host.flatMap(({ path, link }) => (link === undefined ? [bind(path, path, 'ro')] : [])),
      ...(interpreter.root.startsWith('/usr/') ? [] : [bind(interpreter.root, interpreter.root, 'ro')]),
      bind(codeDirectory, '/code', 'ro'),
      bind(socketDirectory, '/run/bench', 'rw'),
    ],
    linux: { namespaces: ['pid', 'ipc', 'uts', 'mount', 'network'].map((type) => ({ type })) },
  };
  await writeFile(join(bundle, 'config.json'), JSON.stringify(config));
  return bundle;
}

/** On most machines `/bin` and its like are links into `/usr`. */
function hostDirectories(): { readonly path: string; readonly link: string | undefined }[] {
  return HOST_DIRECTORIES.filter((path) => existsSync(path)).map((path) => ({
    path,
    link: lstatSync(path).isSymbolicLink() ? readlinkSync(path) : undefined,
  }));
}
