import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ImageRoots } from '../bubblewrap/image-root.ts';
import { ARCHITECTURES, type Architecture } from '../bubblewrap/syscall-numbers.ts';
import { startMark } from '../launcher/inner-command.ts';
import type { Launch } from '../launcher/launch.ts';
import { findProgram } from '../launcher/run-program.ts';
import type { ContainerRuntime, SandboxSpec } from '../sandbox.ts';
import { ociConfig } from './oci-config.ts';

/** The runtime itself: its threads count as processes of the sandbox, as does the one that holds its namespaces. */
const OWN_PROCESSES = 32;
/** Waits on descriptor 3 for the word that limits and listeners stand, then becomes the rest. */
const WAIT_FOR_GO = 'read -r _ <&3 || exit 1; exec 3<&-; exec "$@"';
/**
 * The bundle is made in the mount namespace of the sandbox, where the root is. A version 1 hierarchy for memory is taken
 * out of the runtime's sight: it would make a group of its own there, and a kill for lack of memory is counted in the
 * group of the killed alone.
 */
const COPY_CONFIG =
  '[ -z "$3" ] || umount -l "$3"; cp "$1" "$2/config.json" && cd "$2" && shift 3 && exec "$@"';

/** What a launch of this driver needs of networks. */
export interface OciNetwork {
  /** Puts a program into the network; empty: the runtime makes one of its own. */
  readonly enter: readonly string[];
  readonly path: string | undefined;
}

/**
 * Sandboxes by a runtime of the Open Container Initiative. Only root's platform has them. The runtime runs in a process
 * namespace of its own whose first process dies with the launcher, and takes the container along.
 */
export class OciLaunches {
  readonly #directory: string;
  readonly #hash: string;
  readonly #roots: ImageRoots;
  readonly #unshare: string;
  readonly #setpriv: string;
  readonly #architecture: Architecture;

  /** Clears what an earlier launcher left. Throws with the reason where it cannot work. */
  constructor(hash: string, etc: string) {
    const [unshare, setpriv] = [findProgram('unshare'), findProgram('setpriv')];
    const architecture = ARCHITECTURES[process.arch];
    if (process.getuid?.() !== 0) throw new Error('only root can run them');
    if (unshare === undefined || setpriv === undefined)
      throw new Error('unshare or setpriv is not installed');
    if (architecture === undefined) throw new Error(`no system call filter is known for ${process.arch}`);
    this.#hash = hash;
    this.#unshare = unshare;
    this.#setpriv = setpriv;
    this.#architecture = architecture;
    // A container's root looks for its files as a host user who owns nothing: the way there must be open to all.
    this.#directory = ociDirectory(hash);
    clearOci(hash);
    mkdirSync(this.#directory, { recursive: true, mode: 0o755 });
    this.#roots = new ImageRoots(join(this.#directory, 'roots'), unshare, etc);
  }

  prepare(
    spec: SandboxSpec,
    runtime: ContainerRuntime,
    network: OciNetwork,
  ): Omit<Launch, 'enterNetwork' | 'reach'> {
    const program = findProgram(runtime);
    if (program === undefined) throw new Error(`${runtime} is not installed`);
    if (spec.root === undefined) throw new Error(`${runtime} runs images only`);
    const staged = this.#roots.stage(spec, spec.root);
    const bundle = join(staged.path, '..');
    const state = join(this.#directory, 'state', runtime);
    const files = join(this.#directory, 'bundles', spec.id);
    const cgroup = `${groupPrefix(this.#hash)}${spec.id}`;
    mkdirSync(files, { recursive: true, mode: 0o700 });
    mkdirSync(state, { recursive: true, mode: 0o700 });
    const config = ociConfig(spec, spec.root, {
      rootPath: staged.path,
      networkPath: runtime === 'runsc' ? network.path : undefined,
      cgroup,
      architecture: this.#architecture,
      makesNetwork: network.enter.length === 0,
      limitsProcesses: runtime === 'runc' && mountPointOf('pids') !== undefined,
    });
    const configFile = join(files, 'config.json');
    const log = join(files, 'log');
    const pidFile = join(files, 'pid');
    writeFileSync(configFile, JSON.stringify(config), { mode: 0o600 });
    const args = [
      '-c',
      WAIT_FOR_GO,
      startMark(spec.id),
      ...[this.#setpriv, '--pdeathsig', 'KILL', '--'],
      // gVisor looks at the network of the first process that it sees, and takes its own to be another.
      ...(runtime === 'runsc' ? [] : network.enter),
      ...[this.#unshare, '--mount', '--pid', '--fork', '--kill-child', '--mount-proc', '--'],
      ...staged.before,
      ...['/bin/sh', '-c', COPY_CONFIG, 'thaw', configFile, bundle, mountPointOf('memory') ?? ''],
      ...[
        program,
        '--root',
        state,
        '--log',
        log,
        '--log-format',
        'json',
        ...OPTIONS[runtime],
        ...(runtime === 'runsc' ? [`--network=${network.path === undefined ? 'none' : 'sandbox'}`] : []),
        'run',
        '--pid-file',
        pidFile,
        spec.id,
      ],
    ];
    const place = join(state, spec.id);
    return {
      program: '/bin/sh',
      args,
      directory: '/',
      files: [],
      reportsStatus: false,
      foldsSignals: true,
      progress: {
        // Written when the container has been told to run its command, and not where it could not be made.
        isRunning: () => existsSync(pidFile),
        failure: () => lastError(log),
      },
      connectNetwork: undefined,
      ownProcesses: OWN_PROCESSES,
      release: () => {
        staged.release();
        rmSync(files, { recursive: true, force: true });
        rmSync(place, { recursive: true, force: true });
        removeForeignGroups((name) => name === cgroup);
      },
    };
  }

  close(): void {
    clearOci(this.#hash);
  }
}

const OPTIONS: Readonly<Record<ContainerRuntime, readonly string[]>> = {
  runc: [],
  runsc: ['--ignore-cgroups', '--platform=ptrace'],
};

function ociDirectory(hash: string): string {
  return `/run/thaw-${hash}`;
}

function groupPrefix(hash: string): string {
  return `thaw-${hash}-`;
}

/** Takes away what a launcher of this platform has left. Its containers are gone by now, or the groups stay. */
export function clearOci(hash: string): void {
  rmSync(ociDirectory(hash), { recursive: true, force: true });
  removeForeignGroups((name) => name.startsWith(groupPrefix(hash)));
}

/** The runtime makes groups in every hierarchy, also where the platform has none; killed, it leaves them. */
function removeForeignGroups(isOurs: (name: string) => boolean): void {
  for (const directory of ownGroups()) {
    for (const name of childNames(directory).filter(isOurs)) {
      try {
        rmdirSync(join(directory, name));
      } catch {
        // Somebody is in it still; the next start of the platform looks again.
      }
    }
  }
}

/** Directories of the groups of this process, in every hierarchy that is mounted. */
function ownGroups(): string[] {
  const own = readFileSync('/proc/self/cgroup', 'utf8').trim().split('\n');
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  return own.flatMap((line) => {
    const [, controllers = '', path = ''] = line.split(':');
    const mount = mounts.find((text) => {
      const [, kind = ''] = text.split(' - ');
      const isUnified = controllers === '' && kind.startsWith('cgroup2 ');
      const options = kind.split(' ')[2]?.split(',') ?? [];
      return (
        isUnified ||
        (kind.startsWith('cgroup ') &&
          controllers !== '' &&
          controllers.split(',').every((name) => options.includes(name)))
      );
    });
    const mountPoint = mount?.split(' ')[4];
    return mountPoint === undefined ? [] : [join(mountPoint, path)];
  });
}

/** Of the version 1 hierarchy with this controller. */
function mountPointOf(controller: string): string | undefined {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  return mounts
    .find((text) => {
      const [, kind = ''] = text.split(' - ');
      return kind.startsWith('cgroup ') && kind.split(' ')[2]?.split(',').includes(controller) === true;
    })
    ?.split(' ')[4];
}

function childNames(directory: string): string[] {
  try {
    return readdirSync(directory, { withFileTypes: true }).flatMap((entry) =>
      entry.isDirectory() ? entry.name : [],
    );
  } catch {
    return [];
  }
}

/** What the runtime has logged last. */
function lastError(log: string): string | undefined {
  if (!existsSync(log)) return "its root could not be made; the sandbox's stderr says why";
  try {
    const lines = readFileSync(log, 'utf8').trim().split('\n').toReversed();
    for (const line of lines) {
      const entry: unknown = JSON.parse(line);
      const message: unknown =
        typeof entry === 'object' && entry !== null ? Reflect.get(entry, 'msg') : undefined;
      const level: unknown =
        typeof entry === 'object' && entry !== null ? Reflect.get(entry, 'level') : undefined;
      if (level === 'error' && typeof message === 'string') return message;
    }
  } catch {
    // It has logged nothing.
  }
  return undefined;
}
