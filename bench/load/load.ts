import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findProgram, runProgram } from '../machine/program.ts';
import type { LoadOutcome, LoadPlan } from './generator.ts';

/** One request, again and again. */
export interface Shot {
  readonly url: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer | string;
}

/** The event that the function of the warm scenarios is called with. */
export const HELLO_EVENT = '{"name":"thaw"}';

export interface LoadOptions {
  readonly connections: number;
  readonly seconds: number;
  /** As in `LoadPlan`. */
  readonly warmUpSeconds?: number;
  readonly rate?: number;
  readonly count?: number;
}

/** Runs the generator of this repository against one address, or in turn against several of the same host. */
export async function generate(shots: readonly Shot[], options: LoadOptions): Promise<LoadOutcome> {
  const [first] = shots;
  if (first === undefined) throw new Error('there is nothing to send');
  const { hostname, port } = new URL(first.url);
  const plan: LoadPlan = {
    target: { host: hostname, port: Number(port) },
    ...options,
    requests: shots.map(({ url, method = 'POST', headers = {}, body = '' }) => {
      const { host, pathname, search } = new URL(url);
      const text = Buffer.from(body).toString('base64');
      return { method, path: `${pathname}${search}`, headers: { host, ...headers }, body: text };
    }),
  };
  return runPlan(plan);
}

export async function runPlan(plan: LoadPlan): Promise<LoadOutcome> {
  const directory = await mkdtemp(join(tmpdir(), 'thaw-load-'));
  try {
    const generator = join(import.meta.dirname, 'generator.ts');
    // A plan may hold megabytes of bodies, more than a command line may.
    const file = join(directory, 'plan.json');
    await writeFile(file, JSON.stringify(plan));
    const { code, stdout, stderr } = await runProgram(process.execPath, [generator, file]);
    if (code !== 0) throw new Error(`the load generator failed: ${stderr}`);
    const outcome: LoadOutcome = JSON.parse(stdout);
    return outcome;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Requests a second of a closed loop: `wrk` where this machine has it, since it takes the least of the processor. */
export async function throughput(shot: Shot, options: LoadOptions): Promise<LoadOutcome> {
  return mixedThroughput([shot], options);
}

/** The same over several addresses of one host, each as often as it stands in the list. */
export async function mixedThroughput(shots: readonly Shot[], options: LoadOptions): Promise<LoadOutcome> {
  // It counts in whole seconds; what is shorter is a quick run, whose figures nobody reads.
  const wrk = Number.isInteger(options.seconds) ? findProgram('wrk') : undefined;
  return wrk === undefined ? generate(shots, options) : runWrk(wrk, shots, options);
}

async function runWrk(
  wrk: string,
  shots: readonly Shot[],
  { connections, seconds }: LoadOptions,
): Promise<LoadOutcome> {
  const [first] = shots;
  if (first === undefined) throw new Error('there is nothing to send');
  const directory = await mkdtemp(join(tmpdir(), 'thaw-wrk-'));
  try {
    const script = join(directory, 'load.lua');
    await writeFile(script, luaOf(shots));
    const url = new URL('/', first.url).href;
    const args = ['-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '30s', '-s', script, url];
    const { code, stdout, stderr } = await runProgram(wrk, args);
    const line = /RESULT (.*)/.exec(stdout)?.[1];
    if (code !== 0 || line === undefined) throw new Error(`wrk failed: ${stderr}${stdout}`);
    const outcome: LoadOutcome = JSON.parse(line);
    return outcome;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** All requests are made before the run: with several, the script hands out the next one. */
function luaOf(shots: readonly Shot[]): string {
  const requests = shots.map(({ url, method = 'POST', headers = {}, body = '' }) => {
    const { host, pathname, search } = new URL(url);
    const fields = Object.entries({ Host: host, ...headers })
      .map(([name, value]) => `[${luaText(name)}]=${luaText(value)}`)
      .join(',');
    return `wrk.format(${luaText(method)},${luaText(pathname + search)},{${fields}},${luaText(String(body))})`;
  });
  return `
local made = {}
local at = 0
init = function()
  ${requests.map((request, index) => `made[${index + 1}] = ${request}`).join('\n  ')}
end
request = function()
  at = at % #made + 1
  return made[at]
end
done = function(summary, latency)
  local e = summary.errors
  print(string.format('RESULT {"requests":%d,"failed":%d,"seconds":%f,"p50":%f,"p90":%f,"p99":%f,"p999":%f,"max":%f}',
    summary.requests, e.connect + e.read + e.write + e.status + e.timeout, summary.duration / 1000000,
    latency:percentile(50) / 1000, latency:percentile(90) / 1000, latency:percentile(99) / 1000,
    latency:percentile(99.9) / 1000, latency.max / 1000))
end
`;
}

function luaText(text: string): string {
  return `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`;
}

export function perSecond({ requests, failed, seconds }: LoadOutcome): number {
  if (failed > 0) throw new Error(`${failed} of ${requests} requests failed`);
  return requests / seconds;
}
