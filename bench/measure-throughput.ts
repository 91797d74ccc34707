import type { Contestant } from './contestants/contestant.ts';
import type { BenchContext } from './context.ts';
import { HELLO_EVENT, perSecond, throughput } from './load/load.ts';
import type { Measurement, Verdict } from './scenario.ts';
import { medianRatio } from './statistics.ts';

const CONNECTIONS = 32;
/** Before the first round, so that nobody is measured while still being compiled. */
const WARM_UP_S = 5;

/** Each contestant in turn, for as many rounds as the context says: requests a second. */
export async function measureThroughput(
  context: BenchContext,
  contestants: readonly Contestant[],
  connections = CONNECTIONS,
): Promise<Measurement[]> {
  const values = new Map(contestants.map(({ name }) => [name, [] as number[]]));
  const load = (url: string, seconds: number): Promise<number> =>
    throughput({ url, body: HELLO_EVENT }, { connections, seconds }).then(perSecond);
  for (const { url } of contestants) await load(url, context.pick(WARM_UP_S, 0.1));
  for (let round = 0; round < context.rounds; round += 1) {
    for (const { name, url } of contestants) {
      const reached = await load(url, context.pick(5, 0.2));
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
