import { closeSync, mkdirSync, openSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { innerCommandAdding } from '../launcher/inner-command.ts';
import { KernelThread } from '../launcher/kernel-thread.ts';
import type { Launch, LaunchDriver, ServerReach } from '../launcher/launch.ts';
import { findProgram } from '../launcher/run-program.ts';
import { Removal } from '../launcher/removal.ts';
import { NetworkPool, type NetworkLease } from '../network/network-pool.ts';
import { UserNetwork, uplinkDirectory } from '../network/user-network.ts';
import { OciLaunches } from '../oci/oci-launch.ts';
import type { ContainerRuntime, SandboxSpec } from '../sandbox.ts';
import { buildBaseRoot, nameServersForSandboxes, type BaseRoot } from './base-root.ts';
import { ARGUMENTS_FD, bubblewrapArguments, temporaryBytes, type Identity } from './bubblewrap-arguments.ts';
import { probeBubblewrap } from './bubblewrap-probe.ts';
import { isGuardedVariable } from './guarded-variables.ts';
import { ImageLaunches, type ImageLaunch } from './image-launch.ts';
import { LateMounts, type LatePlaces } from './late-mounts.ts';
import { seccompFilter } from './seccomp-filter.ts';
import { ARCHITECTURES } from './syscall-numbers.ts';
import { UserIds } from './user-ids.ts';
import { Zygotes } from './zygotes.ts';

/** bwrap itself and the first process of the process namespace, which collects orphans. */
const OWN_PROCESSES = 2;

export interface BubblewrapOptions {
  /** Private to the launcher. */
  readonly directory: string;
  /** Eight hexadecimal digits that name this platform. */
  readonly hash: string;
  /** Whether a thread makes networks, where it can. */
  readonly kernelThread: boolean;
  /** Networks made ahead of use. */
  readonly spareNetworks: number;
  readonly idleNetworks: number;
  readonly note: (text: string) => void;
}

/** Rejects with the reason where bubblewrap cannot be used. */
export async function openBubblewrapDriver(options: BubblewrapOptions): Promise<LaunchDriver> {
  const driver = new BubblewrapDriver(options);
  await probeBubblewrap(driver);
  await driver.openThread();
  await driver.openNetworks();
  await driver.openImages();
  return driver;
}

class BubblewrapDriver implements LaunchDriver {
  readonly name = 'bubblewrap';
  readonly shortcomings: string[] = [];
  readonly limitsProcesses = process.getuid?.() !== 0;
  readonly cannotSpecialize: string | undefined;
  readonly #lateMounts: LateMounts | undefined;
  readonly #zygotes: Zygotes | undefined;
  readonly #options: BubblewrapOptions;
  readonly #programs: {
    readonly bwrap: string;
    readonly setpriv: string;
    readonly env: string;
    readonly prlimit: string;
    readonly nsenter: string;
  };
  readonly #baseRoot: BaseRoot;
  readonly #nameServers: string;
  readonly #seccompFile: string;
  /** Present where the platform is root. */
  readonly #userIds: UserIds | undefined;
  #networks: NetworkPool | undefined;
  /** For what waits in the kernel, where the platform is root and Node can call the C library. */
  #thread: KernelThread | undefined;
  #removal: Removal | undefined;
  /** Opened by the first function that wants a container runtime. */
  #oci: OciLaunches | undefined;
  /** Absent where no image can be run, for this reason. */
  #images: ImageLaunches | { readonly reason: string } = { reason: 'images are not open yet' };
  /** The way out where the platform is an ordinary user. */
  #userNetwork: UserNetwork | undefined;
  /**
   * Where no network is leased: makes one with a loopback that processes outside the sandbox can join. Nobody but root
   * can join one that bwrap makes, because bwrap goes on into a second user namespace, in which nobody has rights over
   * a network of the first.
   */
  readonly #ownNetwork: readonly string[] | undefined;

  constructor(options: BubblewrapOptions) {
    const { directory, hash } = options;
    const architecture = ARCHITECTURES[process.arch];
    if (architecture === undefined) throw new Error(`no system call filter is known for ${process.arch}`);
    this.#options = options;
    this.#programs = {
      bwrap: requireProgram('bwrap'),
      setpriv: requireProgram('setpriv'),
      env: requireProgram('env'),
      prlimit: requireProgram('prlimit'),
      nsenter: requireProgram('nsenter'),
    };
    const nameServers = nameServersForSandboxes();
    if (nameServers.shortcoming !== undefined) this.shortcomings.push(nameServers.shortcoming);
    this.#nameServers = nameServers.text;
    this.#baseRoot = buildBaseRoot({ directory: join(directory, 'root'), nameServers: nameServers.text });
    this.#seccompFile = join(directory, 'seccomp.bpf');
    writeFileSync(this.#seccompFile, seccompFilter(architecture));
    mkdirSync(join(directory, 'launch'), { recursive: true });
    this.#userIds = process.getuid?.() === 0 ? new UserIds(hash) : undefined;
    if (this.#userIds === undefined) {
      this.cannotSpecialize = 'an ordinary user cannot mount into a running sandbox';
    } else {
      try {
        this.#lateMounts = new LateMounts(join(directory, 'late'));
        this.#zygotes = new Zygotes({
          bwrap: this.#programs.bwrap,
          baseRoot: this.#baseRoot,
          directory,
          seccompFile: this.#seccompFile,
          lateDirectory: this.#lateMounts.directory,
          networkDirectory: () => this.#networks?.directory,
          note: options.note,
        });
      } catch (error) {
        this.cannotSpecialize = error instanceof Error ? error.message : String(error);
      }
    }
    const [unshare, ip] = [findProgram('unshare'), findProgram('ip')];
    if (unshare !== undefined && ip !== undefined) {
      const user = this.#userIds === undefined ? ['--user', '--map-root-user'] : [];
      const script = '"$0" link set lo up && exec "$@"';
      this.#ownNetwork = [unshare, ...user, '--net', '--', '/bin/sh', '-c', script, ip];
    } else if (this.#userIds === undefined) {
      this.shortcomings.push('functions of runtime custom cannot be reached: unshare or ip is not installed');
    }
  }

  /** After the launcher has left the host's mounts: the thread sees what it sees. */
  async openThread(): Promise<void> {
    if (this.#lateMounts === undefined || !this.#options.kernelThread) return;
    try {
      const thread = await KernelThread.open();
      this.#thread = thread;
      const removal = new Removal(thread, this.#options.note);
      this.#removal = removal;
      this.#lateMounts.removeBy((mounted, directories) => removal.add(mounted, directories));
    } catch (error) {
      this.#options.note(`sandboxes start slower, without a thread for the kernel: ${String(error)}`);
    }
  }

  async openNetworks(): Promise<void> {
    try {
      if (this.#userIds === undefined) {
        this.#userNetwork = await UserNetwork.open(uplinkDirectory(this.#options.directory));
        return;
      }
      this.#networks = await NetworkPool.open({
        hash: this.#options.hash,
        nameServers: this.#nameServers,
        thread: this.#thread,
        spare: this.#options.spareNetworks,
        idle: this.#options.idleNetworks,
        directory: join(this.#options.directory, 'networks'),
        note: this.#options.note,
      });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      const whose = this.#userIds === undefined ? 'an ordinary user cannot give one: ' : '';
      this.shortcomings.push(`functions have no network: ${whose}${reason}`);
    }
  }

  async openImages(): Promise<void> {
    const { directory } = this.#options;
    try {
      const isRoot = this.#userIds !== undefined;
      this.#images = await ImageLaunches.open({ directory, etc: join(directory, 'root/etc'), isRoot });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.#images = { reason };
      this.shortcomings.push(`functions in images cannot be run by bubblewrap: ${reason}`);
    }
  }

  /** By a container runtime, in the networks that all sandboxes have. */
  async #prepareContainer(spec: SandboxSpec, runtime: ContainerRuntime): Promise<Launch> {
    this.#oci ??= new OciLaunches(this.#options.hash, join(this.#options.directory, 'root/etc'));
    const hasWayOut = spec.network === 'private';
    const lease = hasWayOut || isJoined(spec) ? await this.#networks?.lease(hasWayOut) : undefined;
    const joined = lease === undefined ? [] : [this.#programs.nsenter, `--net=${lease.path}`];
    try {
      const network = { enter: joined, path: lease?.path };
      const launch = this.#oci.prepare(spec, runtime, network);
      const [enter, ...rest] = joined;
      return {
        ...launch,
        enterNetwork: enter === undefined ? undefined : () => [enter, ...rest],
        reach: lease === undefined ? undefined : this.#reach(spec, lease),
        release: () => {
          launch.release();
          lease?.release();
        },
      };
    } catch (error) {
      lease?.release();
      throw error;
    }
  }

  async prepare(spec: SandboxSpec): Promise<Launch> {
    if (spec.runtime !== undefined) return await this.#prepareContainer(spec, spec.runtime);
    const hasWayOut = spec.network === 'private';
    const lease = hasWayOut || isJoined(spec) ? await this.#networks?.lease(hasWayOut) : undefined;
    const userNetwork = hasWayOut ? this.#userNetwork : undefined;
    const uid = this.#userIds?.take();
    const identity: Identity = uid === undefined ? { kind: 'userNamespace' } : { kind: 'hostUser', uid };
    let places: LatePlaces | undefined;
    let image: ImageLaunch | undefined;
    const release = (): void => {
      image?.release();
      places?.release();
      lease?.release();
      if (uid !== undefined) this.#userIds?.giveBack(uid);
    };
    try {
      places = this.#makeLatePlaces(spec);
      const fork =
        places === undefined || uid === undefined
          ? undefined
          : this.#zygotes?.forkOf(spec, { uid, network: lease?.path });
      // What bwrap would be told is of no use to what is forked, and takes longer to write down than all else here.
      const program =
        fork === undefined
          ? this.#launch(spec, identity, lease, userNetwork, places, (prepared) => {
              image = prepared;
            })
          : { program: this.#programs.bwrap, args: [], files: [] };
      return {
        ...program,
        fork,
        specialize: places && ((change) => places?.attach(change.mounts, temporaryBytes(change))),
        afterSpecialize: () => places?.release(),
        directory: undefined,
        reportsStatus: true,
        enterNetwork: (pid) => [this.#programs.nsenter, '--target', String(pid), ...this.#joinOptions()],
        connectNetwork: userNetwork === undefined ? undefined : (pid) => userNetwork.attach(spec.id, pid),
        ownProcesses: OWN_PROCESSES,
        reach: this.#reach(spec, lease),
        release,
      };
    } catch (error) {
      release();
      throw error;
    }
  }

  async close(): Promise<void> {
    this.#zygotes?.close();
    this.#removal?.flush();
    if (this.#images instanceof ImageLaunches) this.#images.close();
    this.#oci?.close();
    try {
      await this.#networks?.close();
    } finally {
      await this.#thread?.close();
    }
  }

  #makeLatePlaces(spec: SandboxSpec): LatePlaces | undefined {
    if (spec.lateTargets === undefined) return undefined;
    if (this.#lateMounts === undefined)
      throw new Error(`late mounts are not possible: ${this.cannotSpecialize}`);
    return this.#lateMounts.make(spec.id, spec.lateTargets, temporaryBytes(spec), spec.workingDirectory);
  }

  #reach(spec: SandboxSpec, lease: NetworkLease | undefined): ServerReach | undefined {
    if (spec.server === undefined) return undefined;
    if (lease !== undefined)
      return { kind: 'direct', address: { host: lease.address, port: spec.server.port } };
    if (this.#ownNetwork === undefined) return undefined;
    return { kind: 'relay', nsenter: this.#programs.nsenter, options: this.#joinOptions() };
  }

  #launch(
    spec: SandboxSpec,
    identity: Identity,
    lease: NetworkLease | undefined,
    userNetwork: UserNetwork | undefined,
    places: LatePlaces | undefined,
    onImage: (image: ImageLaunch) => void,
  ): Pick<Launch, 'program' | 'args' | 'files'> {
    const { bwrap, nsenter, env } = this.#programs;
    const joined = lease === undefined && isJoined(spec) ? this.#ownNetwork : undefined;
    const ownNetwork = userNetwork?.enterNew() ?? joined;
    const makesNetwork = lease === undefined && ownNetwork === undefined;
    const before = lease === undefined ? (ownNetwork ?? []) : [nsenter, `--net=${lease.path}`];
    if (spec.root !== undefined) {
      const image = this.#requireImages().prepare(spec, spec.root, makesNetwork);
      onImage(image);
      const [program = bwrap, ...args] = [
        ...this.#rightToMount(before),
        ...image.before,
        ...[bwrap, '--args', String(ARGUMENTS_FD), '--', ...image.command],
      ];
      return { program, args, files: [...this.#openFiles(spec.id, image.bwrapArguments), ...image.files] };
    }
    const setting = { baseRoot: this.#baseRoot, identity, makesNetwork, places };
    const variables = Object.entries(spec.environment);
    const command = [
      bwrap,
      '--args',
      String(ARGUMENTS_FD),
      '--',
      ...this.#becomeUser(identity, spec),
      ...innerCommandAdding(
        spec,
        env,
        variables.filter(([name]) => isGuardedVariable(name)),
      ),
    ];
    const [program = bwrap, ...args] = [...before, ...command];
    return { program, args, files: this.#openFiles(spec.id, bubblewrapArguments(spec, setting)) };
  }

  /** An ordinary user may mount in a user namespace of his own, which a network of his own has made already. */
  #rightToMount(before: readonly string[]): readonly string[] {
    if (this.#userIds !== undefined || before.length > 0) return before;
    return [requireProgram('unshare'), '--user', '--map-root-user', '--'];
  }

  #requireImages(): ImageLaunches {
    if (this.#images instanceof ImageLaunches) return this.#images;
    throw new Error(`images cannot be run here: ${this.#images.reason}`);
  }

  #joinOptions(): string[] {
    return this.#userIds === undefined ? ['--user', '--preserve-credentials', '--net'] : ['--net'];
  }

  /** Ends with no capability in any set, so that nothing a program does inside can bring one back. */
  #becomeUser(identity: Identity, { processesMax }: SandboxSpec): string[] {
    // Counted in the user namespace, so it bounds this sandbox alone, and holds where no cgroup does.
    if (identity.kind === 'userNamespace') return [this.#programs.prlimit, `--nproc=${processesMax}`];
    const id = String(identity.uid);
    const nothing = ['--clear-groups', '--inh-caps=-all', '--bounding-set=-all', '--no-new-privs'];
    return [this.#programs.setpriv, '--reuid', id, '--regid', id, ...nothing];
  }

  /**
   * The arguments go through a file that has no name any more when bwrap reads it: the command line of bwrap can be
   * read inside the sandbox and by every user of the host, and must tell neither where things are nor what is in the
   * function's environment.
   */
  #openFiles(id: string, bwrapArguments: readonly string[]): number[] {
    const file = join(this.#options.directory, 'launch', id);
    writeFileSync(file, bwrapArguments.map((argument) => `${argument}\0`).join(''), { mode: 0o600 });
    try {
      const argumentsFile = openSync(file, 'r');
      try {
        return [argumentsFile, openSync(this.#seccompFile, 'r')];
      } catch (error) {
        closeSync(argumentsFile);
        throw error;
      }
    } finally {
      unlinkSync(file);
    }
  }
}

/** Whether something outside the sandbox goes into its network. */
function isJoined({ server, loopbackPort }: SandboxSpec): boolean {
  return server !== undefined || loopbackPort !== undefined;
}

function requireProgram(name: string): string {
  const path = findProgram(name);
  if (path === undefined) throw new Error(`${name} is not installed`);
  return path;
}
