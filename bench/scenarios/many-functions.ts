import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { PROGRAMS } from '../contestants/contestant.ts';
import { HELLO_EVENT, mixedThroughput, perSecond, type Shot } from '../load/load.ts';
import { descendants, residentBytes, threadNanoseconds } from '../machine/process-figures.ts';
import type { Thaw } from '../machine/thaw.ts';
import type { Scenario } from '../scenario.ts';
import { median, medianRatio } from '../statistics.ts';

const CONNECTIONS = 32;
const DEPLOYS_AT_ONCE = 8;
/** The shots of one pass; wrk goes through them again and again. */
const SHOTS = 2_000;
const ZIPF_EXPONENT = 1.1;
/** Registering some warms the platform's own code up, whose memory is no function's. */
const FIRST_SHARE = 0.1;
/** After so long without work the engine has given back what it does not need. */
const SETTLE_MS = 10_000;
/** After so long without a call all instances are frozen and the engine has collected what the load left. */
const IDLE_AFTER_MS = 60_000;
const IDLE_MS = 30_000;

export const scenario: Scenario = {
  name: 'many-functions',
  title: 'Many functions',
  shows:
    '10,000 functions with an HTTP trigger each are registered. Traffic goes to the 20 most popular of them by Zipf’s ' +
    'law (exponent 1.1; more would not be warm at once on this machine), against traffic to one of them alone. Then what ' +
    'a registered function takes of the gateway’s memory, and what all processes of the platform with their sandboxes ' +
    'take of a processor while nothing comes, from a minute after the load.',
  charts: ['throughput'],

  async run(context) {
    const functions = context.pick(10_000, 6);
    const popular = context.pick(20, 2);
    const thaw = await context.startThaw();
    const settleMs = context.pick(SETTLE_MS, 100);
    const first = Math.ceil(functions * FIRST_SHARE);
    await deployAll(thaw, 0, first);
    await sleep(settleMs);
    const before = residentBytes(thaw.pid);
    await deployAll(thaw, first, functions);
    await sleep(settleMs);
    const after = residentBytes(thaw.pid);
    context.say(`${functions} functions are registered`);
    const urlOf = (n: number): string => `${thaw.url}/http/f${n}/web/`;
    const mixed = zipf(popular, SHOTS).map((n): Shot => ({ url: urlOf(n), body: HELLO_EVENT }));
    const single: Shot[] = [{ url: urlOf(0), body: HELLO_EVENT }];
    const load = (shots: readonly Shot[], seconds: number): Promise<number> =>
      mixedThroughput(shots, { connections: CONNECTIONS, seconds }).then(perSecond);
    const seconds = context.pick(5, 0.2);
    await load(mixed, seconds);
    await load(single, seconds);
    const ofMany: number[] = [];
    const ofOne: number[] = [];
    for (let round = 0; round < context.rounds; round += 1) {
      ofMany.push(await load(mixed, seconds));
      ofOne.push(await load(single, seconds));
    }
    await sleep(context.pick(IDLE_AFTER_MS, 100));
    const idle = await busyPercent(thaw.pid, context.pick(IDLE_MS, 200));
    const kilobytes = (after - before) / (functions - first) / 1024;
    return {
      measurements: [
        { subject: 'thaw, the 20 most popular', what: 'throughput', unit: 'requests/s', values: ofMany },
        { subject: 'thaw, one of them', what: 'throughput', unit: 'requests/s', values: ofOne },
        { subject: 'thaw', what: 'gateway memory of a function', unit: 'KB', values: [kilobytes] },
        { subject: 'thaw', what: 'processor when idle', unit: '%', values: [idle] },
      ],
      verdicts: [
        {
          claim: 'throughput of many functions against one',
          sense: 'at least',
          bound: 0.9,
          value: medianRatio(ofMany, ofOne),
          unit: 'x',
        },
        {
          claim: 'gateway memory of a registered function',
          sense: 'at most',
          bound: 10,
          value: kilobytes,
          unit: 'KB',
        },
        { claim: 'processor when idle', sense: 'at most', bound: 1, value: median([idle]), unit: '%' },
      ],
      notes: [],
    };
  },
};

async function deployAll(thaw: Thaw, from: number, to: number): Promise<void> {
  const files = { 'index.js': await readFile(join(PROGRAMS, 'handler.js')) };
  const spec = { runtime: 'nodejs26', files, fields: { instanceConcurrency: 100 } };
  let next = from;
  await Promise.all(
    Array.from({ length: DEPLOYS_AT_ONCE }, async () => {
      while (next < to) {
        const n = next;
        next += 1;
        await thaw.deploy(`f${n}`, spec);
      }
    }),
  );
}

/** What a process and all below it take of one processor in this time. */
async function busyPercent(pid: number, ms: number): Promise<number> {
  const from = threadNanoseconds([pid, ...descendants(pid)]);
  await sleep(ms);
  const to = threadNanoseconds([pid, ...descendants(pid)]);
  let spent = 0;
  for (const [thread, nanoseconds] of to) spent += nanoseconds - (from.get(thread) ?? 0);
  return (spent / 1_000_000 / ms) * 100;
}

/** So many draws from ranks 0 to n - 1, the same ones each time, in an order that mixes them. */
function zipf(n: number, draws: number): number[] {
  const weights = Array.from({ length: n }, (_, rank) => 1 / (rank + 1) ** ZIPF_EXPONENT);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const golden = (Math.sqrt(5) - 1) / 2;
  return Array.from({ length: draws }, (_, draw) => {
    let left = ((draw * golden) % 1) * total;
    const rank = weights.findIndex((weight) => (left -= weight) < 0);
    return Math.max(0, rank);
  });
}
