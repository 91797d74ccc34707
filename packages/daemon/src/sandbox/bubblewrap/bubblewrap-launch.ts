import { closeSync, mkdirSync, openSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { innerCommandAdding } from '../launcher/inner-command.ts';
import type { Launch, LaunchDriver } from '../launcher/launch.ts';
import { findProgram } from '../launcher/run-program.ts';
import { NetworkPool, type NetworkLease } from '../network/network-pool.ts';
import type { SandboxSpec } from '../sandbox.ts';
import { buildBaseRoot, nameServersForSandboxes, type BaseRoot } from './base-root.ts';
import { ARGUMENTS_FD, bubblewrapArguments, type Identity } from './bubblewrap-arguments.ts';
import { probeBubblewrap } from './bubblewrap-probe.ts';
import { isGuardedVariable } from './guarded-variables.ts';
import { seccompFilter } from './seccomp-filter.ts';
import { ARCHITECTURES } from './syscall-numbers.ts';
import { UserIds } from './user-ids.ts';

/** bwrap itself and the first process of the process namespace, which collects orphans. */
const OWN_PROCESSES = 2;

export interface BubblewrapOptions {
  /** Private to the launcher. */
  readonly directory: string;
  /** Eight hexadecimal digits that name this platform. */
  readonly hash: string;
  readonly note: (text: string) => void;
}

/** Rejects with the reason where bubblewrap cannot be used. */
export async function openBubblewrapDriver(options: BubblewrapOptions): Promise<LaunchDriver> {
  const driver = new BubblewrapDriver(options);
  await probeBubblewrap(driver);
  await driver.openNetworks();
  return driver;
}

class BubblewrapDriver implements LaunchDriver {
  readonly name = 'bubblewrap';
  readonly shortcomings: string[] = [];
  readonly #options: BubblewrapOptions;
  readonly #programs: {
    readonly bwrap: string;
    readonly setpriv: string;
    readonly env: string;
    readonly nsenter: string;
  };
  readonly #baseRoot: BaseRoot;
  readonly #nameServers: string;
  readonly #seccompFile: string;
  /** Present where the platform is root. */
  readonly #userIds: UserIds | undefined;
  #networks: NetworkPool | undefined;

  constructor(options: BubblewrapOptions) {
    const { directory, hash } = options;
    const architecture = ARCHITECTURES[process.arch];
    if (architecture === undefined) throw new Error(`no system call filter is known for ${process.arch}`);
    this.#options = options;
    this.#programs = {
      bwrap: requireProgram('bwrap'),
      setpriv: requireProgram('setpriv'),
      env: requireProgram('env'),
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
  }

  async openNetworks(): Promise<void> {
    if (this.#userIds === undefined) {
      this.shortcomings.push('functions have no network: only root can give sandboxes a way out');
      return;
    }
    try {
      this.#networks = await NetworkPool.open(this.#options.hash, this.#nameServers);
      if (this.#networks.note !== undefined) this.#options.note(this.#networks.note);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.shortcomings.push(`functions have no network: ${reason}`);
    }
  }

  async prepare(spec: SandboxSpec): Promise<Launch> {
    const lease = spec.network === 'private' ? await this.#networks?.lease() : undefined;
    const uid = this.#userIds?.take();
    const identity: Identity = uid === undefined ? { kind: 'userNamespace' } : { kind: 'hostUser', uid };
    const release = (): void => {
      lease?.release();
      if (uid !== undefined) this.#userIds?.giveBack(uid);
    };
    try {
      return {
        ...this.#launch(spec, identity, lease),
        directory: undefined,
        reportsStatus: true,
        ownProcesses: OWN_PROCESSES,
        release,
      };
    } catch (error) {
      release();
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#networks?.close();
  }

  #launch(
    spec: SandboxSpec,
    identity: Identity,
    lease: NetworkLease | undefined,
  ): Pick<Launch, 'program' | 'args' | 'files'> {
    const { bwrap, nsenter, env } = this.#programs;
    const setting = { baseRoot: this.#baseRoot, identity, makesNetwork: lease === undefined };
    const variables = Object.entries(spec.environment);
    const command = [
      bwrap,
      '--args',
      String(ARGUMENTS_FD),
      '--',
      ...this.#becomeUser(identity),
      ...innerCommandAdding(
        spec,
        env,
        variables.filter(([name]) => isGuardedVariable(name)),
      ),
    ];
    const [program = bwrap, ...args] =
      lease === undefined ? command : [nsenter, `--net=${lease.path}`, ...command];
    return { program, args, files: this.#openFiles(spec.id, bubblewrapArguments(spec, setting)) };
  }

  /** Ends with no capability in any set, so that nothing a program does inside can bring one back. */
  #becomeUser(identity: Identity): string[] {
    if (identity.kind === 'userNamespace') return [];
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

function requireProgram(name: string): string {
  const path = findProgram(name);
  if (path === undefined) throw new Error(`${name} is not installed`);
  return path;
}
