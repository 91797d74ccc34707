import { closeSync, openSync, unlinkSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, posix, relative } from 'node:path';
import type { OuterProcess } from '../launcher/launch.ts';
import type { SandboxMount, SandboxSpec } from '../sandbox.ts';
import type { BaseRoot } from './base-root.ts';
import { ARGUMENTS_FD, mountArguments, sharedBytes } from './bubblewrap-arguments.ts';
import { Zygote, type ForkRequest } from './zygote.ts';

/** Inside a zygote's root: what it needs of the host until a sandbox is closed. */
const HOST = '/run/thaw/host';
const LINK_TARGET = '/run/thaw/link';
const MAKER = `${HOST}/maker`;
/** After so many sandboxes in a row that could not be forked by a program, all that it would fork start ordinarily. */
const FAILURES_MAX = 3;
/** Of programs that no user code becomes. */
const MAKER_ENVIRONMENT = { PATH: '/usr/bin:/bin', LANG: 'C.UTF-8' };
/** What the loader would only look up when it is first called is looked up, and written, in each fork again. */
const BOUND = { LD_BIND_NOW: '1' };
const SMALL = ['--size', String(1024 * 1024)];

export interface ZygotesOptions {
  readonly bwrap: string;
  readonly baseRoot: BaseRoot;
  /** Private to the launcher. */
  readonly directory: string;
  readonly seccompFile: string;
  /** Shared, with the late mounts of each sandbox below its id. */
  readonly lateDirectory: string;
  /** Holds the files of networks by their names; undefined: there are none. */
  readonly networkDirectory: () => string | undefined;
  readonly note: (text: string) => void;
}

/** What has been made ready for one sandbox. */
export interface ForkPlace {
  readonly uid: number;
  /** Path of the network's file; undefined: it gets a loopback only. */
  readonly network: string | undefined;
}

/**
 * The zygotes of this platform, one for each command that forks sandboxes. One stands in a root that is like a sandbox's,
 * keeps root's rights, and runs nothing but our own code; what it forks gives them up before it runs anything else.
 */
export class Zygotes {
  readonly #options: ZygotesOptions;
  readonly #zygotes = new Map<string, Zygote>();
  readonly #proven = new WeakSet<Zygote>();
  /** In a row, by program. */
  readonly #failures = new Map<string, number>();
  #isClosed = false;

  constructor(options: ZygotesOptions) {
    this.#options = options;
  }

  /** How to fork this sandbox, given the directories of its cgroups; undefined where it is to be started ordinarily. */
  forkOf(
    spec: SandboxSpec,
    place: ForkPlace,
  ): ((cgroups: readonly string[]) => Promise<OuterProcess>) | undefined {
    const link = spec.mounts.find(({ target }) => target === LINK_TARGET);
    const forking = forkingOf(spec);
    const targets = spec.lateTargets;
    if (link === undefined || forking === undefined || targets === undefined || this.#isClosed)
      return undefined;
    const program = forking.command.join(' ');
    if ((this.#failures.get(program) ?? 0) >= FAILURES_MAX) return undefined;
    const instances = dirname(dirname(spec.outputSocket));
    this.#options.baseRoot.writeUser(place.uid);
    return async (cgroups) => {
      const parents = cgroups.map((directory) => dirname(directory));
      const zygote = this.#zygoteOf(spec, forking, instances, parents);
      return await this.#counted(zygote, program, () =>
        zygote.fork({
          id: spec.id,
          uid: place.uid,
          groups: parents.map((_, index) => `cg${index}`),
          network: place.network === undefined ? null : basename(place.network),
          targets,
          output: relative(instances, spec.outputSocket),
          linkDirectory: relative(instances, link.source),
          link: spec.environment['THAW_LINK'] ?? posix.join(LINK_TARGET, 's'),
          sharedBytes: sharedBytes(spec),
          ...forking.executed,
        }),
      );
    };
  }

  close(): void {
    this.#isClosed = true;
    for (const zygote of this.#zygotes.values()) zygote.kill();
  }

  /** The end of one that has worked says nothing of what this machine can do. */
  async #counted<T>(zygote: Zygote, program: string, fork: () => Promise<T>): Promise<T> {
    try {
      const forked = await fork();
      this.#failures.delete(program);
      this.#proven.add(zygote);
      return forked;
    } catch (error) {
      if (!this.#proven.has(zygote)) this.#failures.set(program, (this.#failures.get(program) ?? 0) + 1);
      if (!this.#isClosed) this.#options.note(`${program} could not fork: ${String(error)}`);
      throw error;
    }
  }

  #zygoteOf(
    spec: SandboxSpec,
    { command, environment, directory: own }: Forking,
    instances: string,
    groups: readonly string[],
  ): Zygote {
    const common = spec.mounts.filter(({ target }) => target !== LINK_TARGET);
    const key = JSON.stringify([command, own, environment, common, instances, groups]);
    const known = this.#zygotes.get(key);
    if (known !== undefined && !known.isGone) return known;
    const { bwrap, directory } = this.#options;
    const file = join(directory, 'launch', 'zygote');
    const words = [...this.#rootArguments(spec, environment, common, instances, groups)];
    // Goes with all that is the host's.
    if (own !== undefined) words.push('--ro-bind', own, MAKER);
    words.push('--remount-ro', '/', '--chdir', '/');
    writeFileSync(file, words.map((word) => `${word}\0`).join(''), { mode: 0o600 });
    const descriptor = openSync(file, 'r');
    try {
      const zygote = new Zygote(
        [bwrap, '--args', String(ARGUMENTS_FD), '--', ...command],
        [descriptor],
        this.#options.note,
      );
      this.#zygotes.set(key, zygote);
      return zygote;
    } finally {
      closeSync(descriptor);
      unlinkSync(file);
    }
  }

  /** As `bubblewrapArguments` builds a sandbox, but for what each sandbox has of its own. */
  #rootArguments(
    spec: SandboxSpec,
    environment: Readonly<Record<string, string>>,
    common: readonly SandboxMount[],
    instances: string,
    groups: readonly string[],
  ): string[] {
    const { baseRoot, seccompFile, lateDirectory, networkDirectory, directory } = this.#options;
    const networks = networkDirectory();
    const places = [LINK_TARGET, ...(spec.lateTargets ?? [])];
    // What is bound from these is read-only from the start.
    const readOnly: [string, string][] = [
      [instances, 'i'],
      [join(directory, 'root', 'users'), 'users'],
    ];
    const host: [string, string][] = [
      [lateDirectory, 'late'],
      ...(networks === undefined ? [] : [[networks, 'netns'] satisfies [string, string]]),
      ...groups.map((group, index): [string, string] => [group, `cg${index}`]),
    ];
    return [
      ...['--die-with-parent', '--new-session', '--cap-add', 'ALL', '--clearenv'],
      ...Object.entries(environment).flatMap(([name, value]) => ['--setenv', name, value]),
      ...baseRoot.argumentsForBwrap,
      ...['--proc', '/proc', '--dev', '/dev'],
      ...['--perms', '1777', ...SMALL, '--tmpfs', '/dev/shm', '--remount-ro', '/dev'],
      ...['--perms', '1777', ...SMALL, '--tmpfs', '/tmp'],
      ...['--perms', '0755', '--dir', '/run', '--perms', '0755', '--dir', '/var'],
      ...['--symlink', '../tmp', '/var/tmp', '--perms', '0755', '--dir', '/run/thaw'],
      ...mountArguments(common.map((mount) => ({ ...mount, readOnly: true }))),
      ...places.flatMap((place) => ['--perms', '0755', '--dir', place]),
      // The loader remembers which directories of LD_LIBRARY_PATH were missing when it first looked.
      ...places.flatMap((place) => ['--perms', '0755', '--dir', posix.join(place, 'lib')]),
      ...['--perms', '0700', ...SMALL, '--tmpfs', HOST, '--ro-bind', seccompFile, `${HOST}/seccomp.bpf`],
      ...['--perms', '0755', '--dir', `${HOST}/empty`],
      ...readOnly.flatMap(([source, name]) => ['--ro-bind', source, `${HOST}/${name}`]),
      ...host.flatMap(([source, name]) => ['--bind', source, `${HOST}/${name}`]),
    ];
  }
}

/** A program that forks sandboxes, and what is its own. */
interface Forking {
  readonly command: readonly [string, ...string[]];
  readonly environment: Readonly<Record<string, string>>;
  /** Directory of the host that it is in, where sandboxes do not have it too. */
  readonly directory: string | undefined;
  /** Of a request. */
  readonly executed: Pick<ForkRequest, 'command' | 'environment'>;
}

function forkingOf({ zygote, maker, command, environment }: SandboxSpec): Forking | undefined {
  const { THAW_LINK: _link, ...common } = environment;
  if (zygote !== undefined)
    return { command: zygote, environment: { ...common, ...BOUND }, directory: undefined, executed: {} };
  if (maker === undefined) return undefined;
  return {
    command: [maker.python, '-I', '-B', `${MAKER}/zygote.py`, 'execute'],
    environment: { ...MAKER_ENVIRONMENT, ...BOUND },
    directory: maker.directory,
    executed: { command, environment },
  };
}
