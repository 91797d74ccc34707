import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

const STOP_MS_MAX = 20_000;
const OUTPUT_CHARACTERS_MAX = 64 * 1024;

/** Where a program is, in `PATH` or where Debian keeps servers; undefined: this machine lacks it. */
export function findProgram(name: string): string | undefined {
  const directories = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  return directories.map((directory) => join(directory, name)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** The programs of this run that have not ended. */
const living = new Set<ChildProcess>();
let isEnding = false;

/** Whatever way this process ends, none of them stays. */
process.on('exit', () => {
  for (const child of living) child.kill('SIGKILL');
});

/** From now on none is started that would run until it is told to stop; resolves when those that do have stopped. */
export async function endPrograms(): Promise<void> {
  isEnding = true;
  await Promise.all([...living].map(stopProgram));
}

export function spawnProgram(command: string, args: readonly string[], options: SpawnOptions): ChildProcess {
  const child = spawn(command, args, options);
  if (child.pid === undefined) return child;
  living.add(child);
  child.once('exit', () => living.delete(child));
  return child;
}

async function stopProgram(child: ChildProcess): Promise<void> {
  if (!living.has(child)) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  const limit = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX);
  await ended;
  clearTimeout(limit);
}

/** A program that runs until it is told to stop. */
export interface Running {
  readonly pid: number;
  readonly child: ChildProcess;
  output(): string;
  stop(): Promise<void>;
}

export function startProgram(command: string, args: readonly string[], options: SpawnOptions = {}): Running {
  if (isEnding) throw new Error(`the run is being ended: ${command} is not started`);
  const child = spawnProgram(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8');
    stream?.on('data', (text: string) => {
      output = (output + text).slice(-OUTPUT_CHARACTERS_MAX);
    });
  }
  child.once('error', (error) => {
    output += String(error);
  });
  return {
    pid: child.pid ?? 0,
    child,
    output: () => output,
    stop: () => stopProgram(child),
  };
}

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end. */
export function runProgram(
  command: string,
  args: readonly string[],
  options: SpawnOptions = {},
  input = '',
): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawnProgram(command, args, { ...options, stdio: ['pipe', 'pipe', 'pipe'] });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout?.on('data', (chunk: Buffer) => stdout.push(chunk));
    child.stderr?.on('data', (chunk: Buffer) => stderr.push(chunk));
    child.once('error', reject);
    child.once('close', (code) => {
      resolve({
        code,
        stdout: Buffer.concat(stdout).toString('utf8'),
        stderr: Buffer.concat(stderr).toString('utf8'),
      });
    });
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(input);
  });
}
