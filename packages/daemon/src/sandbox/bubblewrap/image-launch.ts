import { openSync } from 'node:fs';
import { join } from 'node:path';
import { innerCommandAdding } from '../launcher/inner-command.ts';
import { findProgram } from '../launcher/run-program.ts';
import type { SandboxRoot, SandboxSpec } from '../sandbox.ts';
import { temporaryBytes, variableArguments, SECCOMP_FD } from './bubblewrap-arguments.ts';
import { isGuardedVariable } from './guarded-variables.ts';
import { ImageNamespace } from './image-namespace.ts';
import { ImageRoots, TOOLS_INSIDE, type StagedRoot } from './image-root.ts';
import { StartTools } from './start-tools.ts';

/**
 * What programs that run as root in an image may do, all of it to their own ids only: what Docker gives, without making
 * devices, raw packets, the audit log and changing the root.
 */
export const IMAGE_CAPABILITIES = [
  'chown',
  'dac_override',
  'fowner',
  'fsetid',
  'kill',
  'setgid',
  'setuid',
  'setpcap',
  'net_bind_service',
  'setfcap',
] as const;

const SHARED_MEMORY_BYTES_MAX = 64 * 1024 * 1024;

export interface ImageLaunchOptions {
  readonly directory: string;
  /** Directory with the sandboxes' own `hosts`, `hostname` and `resolv.conf`. */
  readonly etc: string;
  readonly isRoot: boolean;
}

/** What bwrap is called with for one sandbox that runs from an image. */
export interface ImageLaunch {
  /** Before bwrap: what makes the root. */
  readonly before: readonly string[];
  readonly bwrapArguments: readonly string[];
  /** Behind the arguments' and the filter's. */
  readonly files: readonly number[];
  /** Behind bwrap's `--`. */
  readonly command: readonly string[];
  release(): void;
}

/** Sandboxes of bubblewrap whose root is an image. */
export class ImageLaunches {
  readonly #roots: ImageRoots;
  readonly #tools: StartTools;
  readonly #namespace: ImageNamespace | undefined;
  readonly #programs: { readonly setpriv: string; readonly env: string; readonly prlimit: string };

  private constructor(
    roots: ImageRoots,
    tools: StartTools,
    namespace: ImageNamespace | undefined,
    programs: { setpriv: string; env: string; prlimit: string },
  ) {
    this.#roots = roots;
    this.#tools = tools;
    this.#namespace = namespace;
    this.#programs = programs;
  }

  /** Rejects with the reason where no image can be run here. */
  static async open({ directory, etc, isRoot }: ImageLaunchOptions): Promise<ImageLaunches> {
    const [unshare, setpriv, env, prlimit] = ['unshare', 'setpriv', 'env', 'prlimit'].map((name) => {
      const path = findProgram(name);
      if (path === undefined) throw new Error(`${name} is not installed`);
      return path;
    });
    if (unshare === undefined || setpriv === undefined || env === undefined || prlimit === undefined)
      throw new Error('a program is missing');
    const tools = new StartTools(join(directory, 'tools'), TOOLS_INSIDE, [setpriv, env, prlimit]);
    const roots = new ImageRoots(join(directory, 'images'), unshare, etc);
    const namespace = isRoot ? await ImageNamespace.open(unshare) : undefined;
    return new ImageLaunches(roots, tools, namespace, { setpriv, env, prlimit });
  }

  prepare(spec: SandboxSpec, root: SandboxRoot, makesNetwork: boolean): ImageLaunch {
    const staged = this.#roots.stage(spec, root);
    const files =
      this.#namespace === undefined ? [] : [openSync(`/proc/self/fd/${this.#namespace.descriptor}`, 'r')];
    const variables = Object.entries(spec.environment).filter(([name]) => isGuardedVariable(name));
    return {
      before: staged.before,
      bwrapArguments: this.#arguments(spec, root, staged, makesNetwork, files.length),
      files,
      command: [
        ...this.#becomeUser(root, spec),
        ...innerCommandAdding(spec, this.#tools.command(this.#programs.env), variables),
      ],
      release: () => staged.release(),
    };
  }

  close(): void {
    this.#namespace?.close();
  }

  #arguments(
    spec: SandboxSpec,
    { user }: SandboxRoot,
    staged: StagedRoot,
    makesNetwork: boolean,
    files: number,
  ): string[] {
    const sharedBytes = Math.min(temporaryBytes(spec), SHARED_MEMORY_BYTES_MAX);
    const firstFree = SECCOMP_FD + 1;
    return [
      ...['--unshare-pid', '--unshare-ipc', '--unshare-uts', '--unshare-cgroup-try'],
      ...(makesNetwork ? ['--unshare-net'] : []),
      ...(this.#namespace === undefined
        ? ['--unshare-user', '--uid', String(user.uid), '--gid', String(user.gid), '--cap-drop', 'ALL']
        : ['--userns2', String(firstFree), '--cap-drop', 'ALL', ...capabilityArguments()]),
      ...['--die-with-parent', '--new-session', '--hostname', 'thaw', '--clearenv'],
      ...variableArguments(spec),
      // Mounts forbid devices and programs that change their user, whatever the image says.
      ...['--bind', staged.path, '/', '--proc', '/proc', '--dev', '/dev'],
      ...['--perms', '1777', '--size', String(sharedBytes), '--tmpfs', '/dev/shm', '--remount-ro', '/dev'],
      ...['--perms', '1777', '--size', String(temporaryBytes(spec)), '--tmpfs', '/tmp'],
      ...['--ro-bind', this.#tools.directory, TOOLS_INSIDE],
      ...['--seccomp', String(SECCOMP_FD), '--json-status-fd', String(firstFree + files)],
      ...['--block-fd', String(firstFree + files + 1), '--chdir', spec.workingDirectory],
    ];
  }

  /** Where the platform is root: the image's user, who keeps what `IMAGE_CAPABILITIES` says if he is root inside. */
  #becomeUser({ user }: SandboxRoot, { processesMax }: SandboxSpec): string[] {
    if (this.#namespace === undefined)
      return [...this.#tools.command(this.#programs.prlimit), `--nproc=${processesMax}`];
    const groups = user.groups.length === 0 ? ['--clear-groups'] : ['--groups', user.groups.join(',')];
    const ids = ['--reuid', String(user.uid), '--regid', String(user.gid), ...groups];
    const kept = IMAGE_CAPABILITIES.map((name) => `+${name}`).join(',');
    const rights = [
      '--inh-caps=-all',
      '--ambient-caps=-all',
      `--bounding-set=-all,${kept}`,
      '--no-new-privs',
    ];
    return [...this.#tools.command(this.#programs.setpriv), ...ids, ...rights];
  }
}

function capabilityArguments(): string[] {
  return IMAGE_CAPABILITIES.flatMap((name) => ['--cap-add', `CAP_${name.toUpperCase()}`]);
}
