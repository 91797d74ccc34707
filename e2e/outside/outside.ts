import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import { promisify } from 'node:util';
import { afterTest } from '@thaw/testkit/after-test.ts';

const run = promisify(execFile);

/** A program that runs outside, until the test ends. */
export interface OutsideProgram {
  readonly pid: number;
  /** The first line of its output that fits, which is how it tells that it is ready. */
  line(pattern: RegExp): Promise<RegExpExecArray>;
}

/**
 * A host of its own in the world outside, where a test's servers run: a network namespace behind a pair of virtual
 * interfaces. Functions reach it as they reach any other host, through the platform's network and its translation of
 * addresses; nothing of the machine's own network is touched.
 */
export interface Outside {
  readonly address: string;
  start(command: string, args: readonly string[], options?: ProgramOptions): OutsideProgram;
}

export interface ProgramOptions {
  readonly cwd?: string;
  /** How it is asked to end; a web server is just killed. */
  readonly stopSignal?: NodeJS.Signals;
}

/** Why there is no host outside on this machine, or undefined where there is. */
export async function missingOutside(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return 'only root can make networks';
  return run('ip', ['-V']).then(
    () => undefined,
    () => 'not installed: iproute2',
  );
}

/** Of 172.31.0.0/16, which sandboxes do not use, every test takes four addresses by its process. */
const HOSTS_MAX = 16_384;
let made = 0;

export async function openOutside(t: TestContext): Promise<Outside> {
  const number = made;
  made += 1;
  const id = `${process.pid}-${number}`;
  const namespace = `outside-${id}`;
  const device = `out${id}`;
  const [here, there] = await freeAddresses((process.pid + number * 997) % HOSTS_MAX);
  await run('ip', ['netns', 'add', namespace]);
  afterTest(t, async () => {
    await run('ip', ['netns', 'del', namespace]);
    // It goes with the namespace, but only some time after the last socket.
    await run('ip', ['link', 'del', device]).catch(() => undefined);
  });
  await ip(`link add ${device} type veth peer name eth0 netns ${namespace}`);
  await ip(`addr add ${here}/30 dev ${device}`);
  await ip(`link set ${device} up`);
  await ip(`-n ${namespace} addr add ${there}/30 dev eth0`);
  await ip(`-n ${namespace} link set lo up`);
  await ip(`-n ${namespace} link set eth0 up`);
  return {
    address: there,
    start: (command, args, { cwd, stopSignal = 'SIGKILL' } = {}) => {
      const child = spawn('ip', ['netns', 'exec', namespace, command, ...args], {
        stdio: ['ignore', 'pipe', 'inherit'],
        ...(cwd === undefined ? {} : { cwd }),
      });
      afterTest(t, () => end(child, stopSignal));
      return new RunningProgram(child, command);
    },
  };
}

/** `ip netns exec` becomes the program, so the child is the program itself. */
class RunningProgram implements OutsideProgram {
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #command: string;
  readonly #lines: string[] = [];
  readonly #waiting = new Set<() => void>();

  constructor(child: ChildProcess, command: string) {
    this.pid = child.pid ?? 0;
    this.#child = child;
    this.#command = command;
    if (child.stdout !== null) {
      createInterface(child.stdout).on('line', (line) => {
        this.#lines.push(line);
        for (const look of this.#waiting) look();
      });
    }
    child.once('exit', () => {
      for (const look of this.#waiting) look();
    });
  }

  line(pattern: RegExp): Promise<RegExpExecArray> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        const found = this.#lines.map((line) => pattern.exec(line)).find((match) => match !== null);
        if (found !== undefined) resolve(found);
        else if (this.#child.exitCode !== null)
          reject(new Error(`${this.#command} ended before it said ${String(pattern)}`));
        else return;
        this.#waiting.delete(look);
      };
      this.#waiting.add(look);
      look();
    });
  }
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  await new Promise((resolve) => {
    child.once('exit', resolve);
    child.kill(signal);
  });
}

/** Both ends' addresses of the first four that nobody on this machine has a route to. */
async function freeAddresses(first: number): Promise<[string, string]> {
  const { stdout } = await run('ip', ['-4', 'route', 'show', 'table', 'all']);
  for (let step = 0; step < HOSTS_MAX; step += 1) {
    const offset = ((first + step) % HOSTS_MAX) * 4;
    const address = (last: number): string => `172.31.${offset >> 8}.${(offset & 255) + last}`;
    if (!stdout.includes(address(0))) return [address(1), address(2)];
  }
  throw new Error('every address for hosts outside is in use');
}

async function ip(words: string): Promise<void> {
  await run('ip', words.split(' '));
}
