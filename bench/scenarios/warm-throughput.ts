import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { BenchContext } from '../context.ts';
import { HELLO_EVENT, perSecond, throughput } from '../load/load.ts';
import {
  startDirect,
  startFunctionsFramework,
  startNginx,
  startWorkerd,
} from '../contestants/http-contestants.ts';
import { missing, present, PROGRAMS, type Contestant } from '../contestants/contestant.ts';
import type { Measurement, Scenario, Verdict } from '../scenario.ts';
import { medianRatio } from '../statistics.ts';

const CONNECTIONS = 32;

/** Before the first round, so that nobody is measured while still being compiled. */
export const WARM_UP_S = 3;

export const scenario: Scenario = {
  name: 'warm-throughput',
  title: 'Warm throughput, Node',
  shows:
    'The same handler, which answers an event with a greeting, as an event function of Thaw behind an HTTP trigger (one ' +
    'gateway process, one instance that takes 100 requests at once), as a plain Node server behind nginx (one worker, ' +
    'unix socket, keep-alive), as that server alone, in workerd and in functions-framework. 32 connections that send ' +
    'one POST after the other.',
  charts: ['throughput'],

  async run(context) {
    const url = await deployHello(context);
    const peers = [
      await startNginx(context),
      await startDirect(context),
      await startWorkerd(context),
      await startFunctionsFramework(context),
    ];
    const contestants = [{ name: 'thaw', url }, ...present(peers)];
    const measurements = await measureThroughput(context, contestants);
    return {
      measurements,
      verdicts: [
        ...ratioVerdict(measurements, 'nginx', 1.3),
        ...ratioVerdict(measurements, 'workerd', 2.5),
        ...ratioVerdict(measurements, 'functions-framework', 4),
      ],
      notes: missing(peers),
    };
  },
};

/** Deploys the handler of the warm scenarios as an event function and gives its address. */
export async function deployHello(context: BenchContext): Promise<string> {
  const thaw = await context.startThaw();
  return thaw.deploy('hello', {
    runtime: 'nodejs26',
    files: { 'index.js': await readFile(join(PROGRAMS, 'handler.js')) },
    fields: { instanceConcurrency: 100 },
  });
}

/** Each contestant in turn, for as many rounds as the context says: requests a second. */
export async function measureThroughput(
  context: BenchContext,
  contestants: readonly Contestant[],
  connections = CONNECTIONS,
): Promise<Measurement[]> {
  const values = new Map(contestants.map(({ name }) => [name, [] as number[]]));
  const load = (url: string, seconds: number): Promise<number> =>
    throughput({ url, body: HELLO_EVENT }, { connections, seconds }).then(perSecond);
  for (const { url } of contestants) await load(url, context.pick(WARM_UP_S, 1));
  for (let round = 0; round < context.rounds; round += 1) {
    for (const { name, url } of contestants) {
      const reached = await load(url, context.pick(5, 1));
      values.get(name)?.push(reached);
      context.say(`round ${round + 1}: ${name} ${Math.round(reached)} requests/s`);
    }
  }
  return contestants.map(({ name }) => ({
    subject: name,
    what: 'throughput',
    unit: 'requests/s',
    values: values.get(name) ?? [],
  }));
}

/** Thaw's throughput against a peer's in the same rounds; nothing where the peer did not take part. */
export function ratioVerdict(
  measurements: readonly Measurement[],
  peer: string,
  bound: number,
  subject = 'thaw',
): Verdict[] {
  const ours = measurements.find((one) => one.subject === subject)?.values ?? [];
  const theirs = measurements.find((one) => one.subject === peer)?.values;
  if (theirs === undefined) return [];
  const value = medianRatio(ours, theirs);
  return [{ claim: `throughput against ${peer}`, sense: 'at least', bound, value, unit: 'x' }];
}
