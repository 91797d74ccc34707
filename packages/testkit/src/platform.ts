import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import fc from '@alicloud/fc20230330';
import openApi from '@alicloud/openapi-core';
import { afterTest } from './after-test.ts';
import { optionsWithout, switchedOff, type Mechanism } from './mechanisms.ts';
import { waitFor } from './wait-for.ts';

export const ROOT = join(import.meta.dirname, '../../..');
export const THAW = join(ROOT, 'bin/thaw.mjs');
const STOP_MS_MAX = 20_000;
/** On a machine with much else to do. */
const START_MS_MAX = 120_000;

export interface PlatformOptions {
  readonly isolation?: 'auto' | 'bubblewrap' | 'process';
  /** What the test is of: never off, whatever the run of the tests does without. */
  readonly needs?: readonly Mechanism[];
  /** As of `thaw serve --stems`; absent: as the run of the tests says, else the default. */
  readonly stems?: number;
  /** A data directory to use again; without it a fresh one is made, with a space in its name, and removed at the end. */
  readonly dataDir?: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** Further options of `thaw serve`. */
  readonly arguments?: readonly string[];
}

/** A real platform in a process of its own, started as users start it. */
export interface Platform {
  readonly url: string;
  /** `host:port`, as the FC client wants it. */
  readonly endpoint: string;
  readonly dataDir: string;
  readonly pid: number;
  readonly credentials: { readonly accessKeyId: string; readonly accessKeySecret: string };
  /** What it has written to its terminal so far. */
  output(): string;
  /** Runs a command of the command line against it. */
  thaw(args: readonly string[], options?: CommandOptions): Promise<CommandResult>;
  /** Asks it to stop and waits until it has. */
  stop(): Promise<void>;
  /** `kill -9`, and waits until the process is gone. */
  kill(): Promise<void>;
}

export interface CommandOptions {
  readonly input?: Buffer | string;
  readonly cwd?: string;
  readonly environment?: Readonly<Record<string, string>>;
}

export interface CommandResult {
  readonly code: number | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** Starts a platform that is stopped, and its directory removed, when the test ends. */
export async function startPlatform(t: TestContext, options: PlatformOptions = {}): Promise<Platform> {
  const dataDir = options.dataDir ?? (await temporaryDirectory(t, 'thaw data '));
  const args = [
    THAW,
    'serve',
    '--port',
    '0',
    '--data-dir',
    dataDir,
    '--isolation',
    options.isolation ?? 'auto',
    ...optionsWithout(switchedOff().filter((name) => options.needs?.includes(name) !== true)),
    ...stemsArguments(options.stems),
    ...(options.arguments ?? []),
  ];
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...options.environment },
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8');
    stream.on('data', (text: string) => {
      output += text;
    });
  }
  const exited = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
  });
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM');
    await endWithin(child, exited, () => output);
  };
  afterTest(t, stop);
  const isServing = async (): Promise<{ pid: number; url: string } | undefined> => {
    if (child.exitCode !== null) throw new Error(`the platform exited with ${child.exitCode}:\n${output}`);
    const told = await readJson(join(dataDir, 'daemon.json'));
    return isAnnouncement(told) && told.pid === child.pid ? told : undefined;
  };
  const running = await waitFor('the platform to serve', isServing, START_MS_MAX);
  const credentials = await readJson(join(dataDir, 'credentials.json'));
  if (!isCredentials(credentials)) throw new Error('the platform made no credentials');
  return {
    url: running.url,
    endpoint: new URL(running.url).host,
    dataDir,
    pid: running.pid,
    credentials,
    output: () => output,
    thaw: (given, commandOptions) => runThaw([...given, '--data-dir', dataDir], commandOptions),
    stop,
    kill: async () => {
      child.kill('SIGKILL');
      await exited;
    },
  };
}

/** `THAW_TEST_STEMS=wait` has functions wait for one; a number says how many there are where a test says nothing of it. */
function stemsArguments(stems: number | undefined): string[] {
  const wanted = stems === undefined ? process.env['THAW_TEST_STEMS'] : String(stems);
  return wanted === undefined || wanted === '' || wanted === 'wait' ? [] : ['--stems', wanted];
}

/** Runs `thaw` with these arguments to its end. */
export function runThaw(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [THAW, ...args], {
      cwd: options.cwd ?? ROOT,
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, NO_COLOR: '1', ...options.environment },
    });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
    child.once('error', reject);
    child.once('close', (code) => {
      resolve({ code, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr).toString('utf8') });
    });
    // A command that has ended does not read the rest of its input.
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.input ?? '');
  });
}

/** A fresh directory that is removed when the test ends. */
export async function temporaryDirectory(t: TestContext, prefix = 'thaw-test-'): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), prefix));
  afterTest(t, () => rm(directory, { recursive: true, force: true, maxRetries: 3 }));
  return directory;
}

/** The official client of Function Compute 3.0, pointed at the platform. */
export function fcClient({ endpoint, credentials }: Pick<Platform, 'endpoint' | 'credentials'>): FcClient {
  const { accessKeyId, accessKeySecret } = credentials;
  const config = new openApi.$OpenApiUtil.Config({
    accessKeyId,
    accessKeySecret,
    endpoint,
    protocol: 'http',
  });
  return new fc.default(config);
}

export type FcClient = InstanceType<typeof fc.default>;

async function endWithin(child: ChildProcess, exited: Promise<void>, output: () => string): Promise<void> {
  const limit = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX);
  await exited;
  clearTimeout(limit);
  if (child.signalCode === 'SIGKILL' && !child.killed) {
    throw new Error(`the platform did not stop within ${STOP_MS_MAX} ms:\n${output()}`);
  }
}

async function readJson(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, 'utf8'));
  } catch {
    return undefined;
  }
}

function isAnnouncement(value: unknown): value is { pid: number; url: string } {
  return typeof value === 'object' && value !== null && 'pid' in value && 'url' in value;
}

function isCredentials(value: unknown): value is Platform['credentials'] {
  return typeof value === 'object' && value !== null && 'accessKeyId' in value && 'accessKeySecret' in value;
}
