import { generate, perSecond } from '../load/load.ts';
import { addedMegabytes, sandboxMemory } from '../machine/sandboxes.ts';
import { sleepUntilFull } from '../machine/full.ts';
import type { Measurement, Scenario } from '../scenario.ts';
import { median } from '../statistics.ts';

/** Long enough that all of them wait at once, on a slow machine too. */
const WAIT_S = 20;

export const scenario: Scenario = {
  name: 'co-execution',
  title: 'Co-execution',
  shows:
    '100 invocations that wait for something at once, as calls of other services do: on one instance that takes 100 ' +
    'requests (`instanceConcurrency`), and on 100 instances that take one. Memory of all sandboxes while all wait.',
  charts: ['memory, PSS'],

  async run(context) {
    const waiting = context.pick(100, 4);
    const waitS = context.pick(WAIT_S, 2);
    const source = `exports.handler = () => new Promise((done) => setTimeout(done, ${waitS * 1000}, 'done'));\n`;
    const measure = async (
      instanceConcurrency: number,
    ): Promise<{ proportional: number; private: number }> => {
      const thaw = await context.startThaw({ stems: 0 });
      const url = await thaw.deploy('waits', {
        runtime: 'nodejs26',
        files: { 'index.js': source },
        fields: { instanceConcurrency },
      });
      const before = sandboxMemory(thaw);
      const load = generate([{ url, body: '{}' }], { connections: waiting, seconds: 1, count: waiting });
      await sleepUntilFull(thaw, waiting / instanceConcurrency);
      const after = sandboxMemory(thaw);
      perSecond(await load);
      await thaw.stop();
      return addedMegabytes(before, after, 1);
    };
    const shared: { proportional: number; private: number }[] = [];
    const apart: { proportional: number; private: number }[] = [];
    for (let round = 0; round < context.pick(Math.min(3, context.rounds), 1); round += 1) {
      shared.push(await measure(waiting));
      apart.push(await measure(1));
    }
    const measurements: Measurement[] = [
      {
        subject: 'thaw, one instance',
        what: 'memory, PSS',
        unit: 'MB',
        values: shared.map((one) => one.proportional),
      },
      {
        subject: 'thaw, 100 instances',
        what: 'memory, PSS',
        unit: 'MB',
        values: apart.map((one) => one.proportional),
      },
      {
        subject: 'thaw, one instance',
        what: 'memory, private',
        unit: 'MB',
        values: shared.map((one) => one.private),
      },
      {
        subject: 'thaw, 100 instances',
        what: 'memory, private',
        unit: 'MB',
        values: apart.map((one) => one.private),
      },
    ];
    const ratio = median(apart.map((one, round) => one.proportional / (shared[round]?.proportional ?? NaN)));
    return {
      measurements,
      verdicts: [
        {
          claim: 'memory of 100 instances against one that takes 100',
          sense: 'at least',
          bound: 20,
          value: ratio,
          unit: 'x',
        },
      ],
      notes: [],
    };
  },
};
