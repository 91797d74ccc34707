import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';

const THAW = join(import.meta.dirname, '../../../bin/thaw.mjs');
const POLL_MS = 10;
const WAIT_MS_MAX = 10_000;

export interface Outcome {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly node?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string | Buffer;
  readonly cwd?: string;
}

export function start(
  args: readonly string[],
  { node = process.execPath, env = {}, input, cwd }: RunOptions = {},
): ChildProcess {
  const child = spawn(node, [THAW, ...args], {
    ...(cwd === undefined ? {} : { cwd }),
    env: { PATH: process.env['PATH'], HOME: '/nonexistent', ...env },
    stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
  });
  child.stdin?.end(input);
  return child;
}

async function outcomeOf(child: ChildProcess): Promise<Outcome> {
  const { stdout, stderr } = child;
  assert.ok(stdout !== null && stderr !== null);
  const [out, error] = await Promise.all([text(stdout), text(stderr), once(child, 'close')]);
  return { code: child.exitCode, signal: child.signalCode, stdout: out, stderr: error };
}

export function run(args: readonly string[], options?: RunOptions): Promise<Outcome> {
  return outcomeOf(start(args, options));
}

export async function waitFor(what: string, condition: () => boolean): Promise<void> {
  const end = performance.now() + WAIT_MS_MAX;
  while (!condition()) {
    assert.ok(performance.now() < end, `waited too long for ${what}`);
    await delay(POLL_MS);
  }
}
