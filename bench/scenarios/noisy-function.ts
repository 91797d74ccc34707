import { generate, HELLO_EVENT, throughput } from '../load/load.ts';
import { deployHello } from '../machine/hello.ts';
import type { Measurement, Scenario } from '../scenario.ts';

const RATE = 200;
const NOISY_CONNECTIONS = 16;

/** A function that prints, computes and fails as much as it is let. */
const NOISE = `
exports.handler = async () => {
  for (let line = 0; line < 100; line += 1) console.log('noise '.repeat(20));
  const until = Date.now() + 5;
  while (Date.now() < until);
  throw new Error('noise');
};
`;

export const scenario: Scenario = {
  name: 'noisy-function',
  title: 'A noisy neighbour',
  shows:
    'A function is called 200 times a second (open loop), first alone, then beside another one that gets all that 16 ' +
    'connections can send, prints 100 lines for each call, keeps a processor busy and fails.',
  charts: ['p99'],

  async run(context) {
    const { thaw, url } = await deployHello(context);
    const noise = await thaw.deploy('noise', { runtime: 'nodejs26', files: { 'index.js': NOISE } });
    const seconds = context.pick(8, 0.5);
    const figures = {
      alone: { p50: [] as number[], p99: [] as number[] },
      beside: { p50: [] as number[], p99: [] as number[] },
    };
    const listen = async (into: { p50: number[]; p99: number[] }): Promise<void> => {
      const outcome = await generate([{ url, body: HELLO_EVENT }], { connections: 64, seconds, rate: RATE });
      if (outcome.failed > 0) throw new Error(`${outcome.failed} calls of the quiet function failed`);
      into.p50.push(outcome.p50);
      into.p99.push(outcome.p99);
    };
    await throughput({ url, body: HELLO_EVENT }, { connections: 4, seconds: context.pick(1, 0.1) });
    for (let round = 0; round < context.rounds; round += 1) {
      await listen(figures.alone);
      const noisy = throughput(
        { url: noise, body: '{}' },
        { connections: NOISY_CONNECTIONS, seconds: seconds + 1 },
      );
      await listen(figures.beside);
      await noisy;
    }
    const measurements: Measurement[] = [
      { subject: 'thaw, alone', what: 'p50', unit: 'ms', values: figures.alone.p50 },
      { subject: 'thaw, beside noise', what: 'p50', unit: 'ms', values: figures.beside.p50 },
      { subject: 'thaw, alone', what: 'p99', unit: 'ms', values: figures.alone.p99 },
      { subject: 'thaw, beside noise', what: 'p99', unit: 'ms', values: figures.beside.p99 },
    ];
    return { measurements, verdicts: [], notes: [] };
  },
};
