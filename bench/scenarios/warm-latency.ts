import { missing, present } from '../contestants/contestant.ts';
import { startDirect, startNginx } from '../contestants/http-contestants.ts';
import { generate, HELLO_EVENT, perSecond, throughput } from '../load/load.ts';
import { deployHello } from '../machine/hello.ts';
import type { Measurement, Scenario } from '../scenario.ts';
import { median } from '../statistics.ts';

const CONNECTIONS = 32;
/** An open loop needs a connection for each request that is under way, also when something stalls. */
const OPEN_LOOP_CONNECTIONS = 256;
/** The most that a function may ask for: a stall is to show as one, not as the start of a second instance. */
const OPEN_LOOP_SLOTS = 200;

export const scenario: Scenario = {
  name: 'warm-latency',
  title: 'Warm latency',
  shows:
    'With one connection that sends one request after the other: what Thaw and nginx add to a call of the handler as a ' +
    'server. With an open loop that sends at half of the rate that Thaw reached just before, whatever the answers do: ' +
    'the tail, each latency counted from the moment at which its request was due. The peers get the same rate.',
  charts: ['p50, one connection'],

  async run(context) {
    const { url } = await deployHello(context, OPEN_LOOP_SLOTS);
    const peers = [await startDirect(context), await startNginx(context)];
    const contestants = [{ name: 'thaw', url }, ...present(peers)];
    const p50 = new Map(contestants.map(({ name }) => [name, [] as number[]]));
    const p99 = new Map(contestants.map(({ name }) => [name, [] as number[]]));
    const tails = new Map(contestants.map(({ name }) => [name, [] as number[]]));
    const rates: number[] = [];
    const seconds = context.pick(4, 0.2);
    for (const each of contestants) {
      await throughput({ url: each.url, body: HELLO_EVENT }, { connections: CONNECTIONS, seconds });
    }
    for (let round = 0; round < context.rounds; round += 1) {
      for (const { name, url: address } of contestants) {
        const outcome = await generate([{ url: address, body: HELLO_EVENT }], { connections: 1, seconds });
        p50.get(name)?.push(outcome.p50);
        p99.get(name)?.push(outcome.p99);
      }
      const peak = perSecond(
        await throughput({ url, body: HELLO_EVENT }, { connections: CONNECTIONS, seconds }),
      );
      const rate = Math.floor(peak / 2);
      for (const { name, url: address } of contestants) {
        const open = await generate([{ url: address, body: HELLO_EVENT }], {
          connections: OPEN_LOOP_CONNECTIONS,
          seconds: context.pick(10, 0.5),
          warmUpSeconds: context.pick(2, 0.1),
          rate,
        });
        if (name === 'thaw') rates.push(perSecond(open));
        tails.get(name)?.push(open.p999);
        context.say(`round ${round + 1}: ${name} p99.9 ${open.p999.toFixed(2)} ms at ${rate} requests/s`);
      }
    }
    const measurements: Measurement[] = [
      ...contestants.flatMap(({ name }) => [
        { subject: name, what: 'p50, one connection', unit: 'ms' as const, values: p50.get(name) ?? [] },
        { subject: name, what: 'p99, one connection', unit: 'ms' as const, values: p99.get(name) ?? [] },
      ]),
      { subject: 'thaw', what: 'rate of the open loop', unit: 'requests/s', values: rates },
      ...contestants.map(({ name }) => ({
        subject: name,
        what: 'p99.9, open loop',
        unit: 'ms' as const,
        values: tails.get(name) ?? [],
      })),
    ];
    const added = (p50.get('thaw') ?? []).map((ms, round) => ms - (p50.get('direct')?.[round] ?? 0));
    return {
      measurements,
      verdicts: [
        {
          claim: 'p50 above a direct call',
          sense: 'at most',
          bound: 0.1,
          value: median(added),
          unit: 'ms',
        },
        {
          claim: 'p99.9, open loop at half of the peak',
          sense: 'at most',
          bound: 5,
          value: median(tails.get('thaw') ?? []),
          unit: 'ms',
        },
      ],
      notes: missing(peers),
    };
  },
};
