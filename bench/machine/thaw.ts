import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { zip } from '@thaw/testkit/zip.ts';
import { jsonOf, send, type Answer } from '../../e2e/support/http-call.ts';
import { sign, type SignedCall } from '../../e2e/support/signed-call.ts';
import { startProgram, type Running } from './program.ts';
import type { Settings } from './thaw-server.ts';

const API = '/2023-03-30';

export type ThawOptions = Settings;

/** What the limits of the platform are in a measurement unless the scenario says otherwise: none is in the way. */
const LIMITS = {
  instancesMax: 1000,
  instancesPerFunctionMax: 300,
  memoryMbMax: 1_000_000,
  waitersPerFunctionMax: 10_000,
};

export interface FunctionSpec {
  readonly runtime: string;
  /** Text or bytes by path. */
  readonly files: Readonly<Record<string, string | Buffer>>;
  /** Further fields of CreateFunction. */
  readonly fields?: Readonly<Record<string, unknown>>;
}

/** A platform in a process of its own. */
export class Thaw {
  readonly url: string;
  readonly endpoint: string;
  readonly pid: number;
  readonly credentials: { readonly accessKeyId: string; readonly accessKeySecret: string };
  readonly stop: () => Promise<void>;

  constructor(running: Pick<Thaw, 'url' | 'endpoint' | 'pid' | 'credentials' | 'stop'>) {
    this.url = running.url;
    this.endpoint = running.endpoint;
    this.pid = running.pid;
    this.credentials = running.credentials;
    this.stop = running.stop;
  }

  /** Creates a function with an anonymous HTTP trigger and gives the address of the trigger. */
  async deploy(functionName: string, spec: FunctionSpec): Promise<string> {
    const zipFile = (await zip(spec.files)).toString('base64');
    await this.create(functionName, spec, { zipFile });
    await this.addTrigger(functionName);
    return `${this.url}/http/${functionName}/web/`;
  }

  async create(functionName: string, spec: Omit<FunctionSpec, 'files'>, code: unknown): Promise<void> {
    await this.call({
      method: 'POST',
      path: `${API}/functions`,
      body: JSON.stringify({
        functionName,
        runtime: spec.runtime,
        handler: 'index.handler',
        timeout: 60,
        memorySize: 128,
        ...spec.fields,
        code,
      }),
    });
  }

  async addTrigger(functionName: string): Promise<void> {
    const methods = ['GET', 'POST', 'PUT'];
    await this.call({
      method: 'POST',
      path: `${API}/functions/${functionName}/triggers`,
      body: JSON.stringify({
        triggerName: 'web',
        triggerType: 'http',
        triggerConfig: JSON.stringify({ authType: 'anonymous', methods }),
      }),
    });
  }

  /** A signed call that must succeed. */
  async call(call: SignedCall): Promise<Answer> {
    const answer = await send(this.url, sign(this, call));
    if (answer.status >= 300) throw new Error(`${call.method} ${call.path}: ${answer.body.toString()}`);
    return answer;
  }

  /** The sum of a metric over all label sets that contain these words. */
  async metric(name: string, ...labels: readonly string[]): Promise<number> {
    const { accessKeyId, accessKeySecret } = this.credentials;
    const authorization = `Basic ${Buffer.from(`${accessKeyId}:${accessKeySecret}`).toString('base64')}`;
    const answer = await send(this.url, { path: '/metrics', headers: { authorization } });
    if (answer.status !== 200) throw new Error(`/metrics answers ${answer.status}`);
    return answer.body
      .toString()
      .split('\n')
      .filter((line) => line.startsWith(`${name}{`) && labels.every((label) => line.includes(label)))
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
  }

  async instances(): Promise<number> {
    return this.metric('thaw_instances');
  }

  async frozen(): Promise<number> {
    return this.metric('thaw_instances', 'state="frozen"');
  }
}

export async function startThaw(directory: string, options: ThawOptions): Promise<Thaw> {
  const dataDir = join(directory, 'data');
  const settings = JSON.stringify({ ...options, limits: { ...LIMITS, ...options.limits } });
  const server = join(import.meta.dirname, 'thaw-server.ts');
  // The channel tells the platform when this process is gone, whatever ended it.
  const running = startProgram(process.execPath, [server, dataDir, settings], {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  try {
    return await serving(running, dataDir);
  } catch (error) {
    await running.stop();
    throw error;
  }
}

async function serving(running: Running, dataDir: string): Promise<Thaw> {
  const told = await waitFor('Thaw to serve', async () => {
    if (running.child.exitCode !== null) throw new Error(`Thaw did not start:\n${running.output()}`);
    return readJson<{ pid: number; url: string }>(join(dataDir, 'daemon.json'));
  });
  const credentials = await readJson<Thaw['credentials']>(join(dataDir, 'credentials.json'));
  if (credentials === undefined) throw new Error('Thaw made no credentials');
  return new Thaw({
    url: told.url,
    endpoint: new URL(told.url).host,
    pid: told.pid,
    credentials,
    stop: () => running.stop(),
  });
}

/** Undefined while it is not there or not whole. */
async function readJson<T>(path: string): Promise<T | undefined> {
  try {
    return jsonOf<T>({ body: await readFile(path) });
  } catch {
    return undefined;
  }
}
