import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { missing, present, PROGRAMS, type Contestant } from '../contestants/contestant.ts';
import { startDirect, startNginx } from '../contestants/http-contestants.ts';
import type { BenchContext } from '../context.ts';
import { generate, perSecond } from '../load/load.ts';
import { residentBytes } from '../machine/process-figures.ts';
import type { Thaw } from '../machine/thaw.ts';
import type { Measurement, Scenario } from '../scenario.ts';
import { median, medianRatio } from '../statistics.ts';

const SIZES = [
  ['1 KB', 1024],
  ['64 KB', 64 * 1024],
  ['1 MB', 1024 * 1024],
  ['32 MB', 32 * 1024 * 1024],
] as const;
const MEGABYTE = 1024 * 1024;
const CONNECTIONS = 8;
const LARGE_CONNECTIONS = 16;
const SAMPLE_MS = 20;

export const scenario: Scenario = {
  name: 'payloads',
  title: 'Payloads',
  shows:
    'Bodies of 1 KB to 32 MB to an HTTP handler that counts them, and from one that makes them, over 8 connections: Thaw, ' +
    'the same code as a server behind nginx, and that server alone. Then 32 MB on 16 connections at once, in and out, ' +
    'while the resident memory of the gateway is watched.',
  charts: ['1 MB in', '1 MB out'],

  async run(context) {
    const thaw = await context.startThaw();
    const url = await thaw.deploy('bytes', {
      runtime: 'nodejs26',
      files: { 'index.js': await readFile(join(PROGRAMS, 'bytes-server.js')) },
      fields: { instanceConcurrency: 100, memorySize: 1024 },
    });
    const peers = [
      await startNginx(context, 'bytes-server.js'),
      await startDirect(context, 'bytes-server.js'),
    ];
    const contestants = [{ name: 'thaw', url }, ...present(peers)];
    const measurements: Measurement[] = [];
    for (const [label, bytes] of context.quick ? SIZES.slice(0, 1) : SIZES) {
      measurements.push(...(await measureSize(context, contestants, label, bytes)));
    }
    const aboveIdle = await measureMemory(context, thaw, url);
    measurements.push({
      subject: 'thaw',
      what: 'memory above idle, 32 MB x 16',
      unit: 'MB',
      values: aboveIdle,
    });
    const of = (subject: string, what: string): readonly number[] =>
      measurements.find((one) => one.subject === subject && one.what === what)?.values ?? [];
    const against = ['1 MB in', '1 MB out'].map((what) => ({
      claim: `${what} against nginx`,
      sense: 'at least' as const,
      bound: 1,
      value: medianRatio(of('thaw', what), of('nginx', what)),
      unit: 'x' as const,
    }));
    return {
      measurements,
      verdicts: [
        ...(missing(peers).length === 0 && !context.quick ? against : []),
        {
          claim: 'gateway memory above idle at 32 MB x 16',
          sense: 'at most',
          bound: 64,
          value: Math.max(...aboveIdle),
          unit: 'MB',
        },
      ],
      notes: missing(peers),
    };
  },
};

async function measureSize(
  context: BenchContext,
  contestants: readonly Contestant[],
  label: string,
  bytes: number,
): Promise<Measurement[]> {
  const measurements: Measurement[] = [];
  const seconds = context.pick(3, 0.3);
  for (const direction of ['in', 'out'] as const) {
    const values = new Map(contestants.map(({ name }) => [name, [] as number[]]));
    for (let round = 0; round < context.rounds; round += 1) {
      for (const { name, url } of contestants) {
        const shot =
          direction === 'in' ? { url, body: Buffer.alloc(bytes) } : { url: `${url}${bytes}`, method: 'GET' };
        const outcome = await generate([shot], { connections: CONNECTIONS, seconds });
        values.get(name)?.push((perSecond(outcome) * bytes) / MEGABYTE);
      }
    }
    context.say(`${label} ${direction} done`);
    for (const { name } of contestants) {
      const what = `${label} ${direction}`;
      measurements.push({ subject: name, what, unit: 'MB/s', values: values.get(name) ?? [] });
    }
  }
  return measurements;
}

/** The gateway's largest memory while large bodies pass, above its median before. */
async function measureMemory(context: BenchContext, thaw: Thaw, url: string): Promise<number[]> {
  const bytes = context.pick(32, 1) * MEGABYTE;
  const above: number[] = [];
  for (let round = 0; round < context.rounds; round += 1) {
    for (const shot of [
      { url, body: Buffer.alloc(bytes) },
      { url: `${url}${bytes}`, method: 'GET' },
    ]) {
      const idle = median(Array.from({ length: 5 }, () => residentBytes(thaw.pid)));
      let largest = idle;
      const sampling = setInterval(() => {
        largest = Math.max(largest, residentBytes(thaw.pid));
      }, SAMPLE_MS);
      const count = context.pick(LARGE_CONNECTIONS * 2, LARGE_CONNECTIONS);
      await generate([shot], { connections: LARGE_CONNECTIONS, seconds: 30, count }).then(perSecond);
      clearInterval(sampling);
      above.push((largest - idle) / MEGABYTE);
    }
  }
  return above;
}
