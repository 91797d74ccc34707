import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { PROGRAMS } from '../contestants/contestant.ts';
import { coldStart } from '../machine/cold-start.ts';
import type { Scenario } from '../scenario.ts';
import { quantile } from '../statistics.ts';

export const scenario: Scenario = {
  name: 'freeze-thaw',
  title: 'Freeze and thaw',
  shows:
    'A warm request to an instance that is frozen, 300 times, and the same to one that is never frozen: what the thaw ' +
    'itself took, as the platform measured it, and what the caller saw of both.',
  charts: [],

  async run(context) {
    const thaw = await context.startThaw();
    const files = { 'index.js': await readFile(join(PROGRAMS, 'handler.js')) };
    const deploy = (name: string, after: string): Promise<string> =>
      thaw.deploy(name, {
        runtime: 'nodejs26',
        files,
        fields: { environmentVariables: { THAW_FREEZE_AFTER_MS: after } },
      });
    const frozen = await deploy('frozen', '0');
    const awake = await deploy('awake', 'never');
    await coldStart(frozen);
    await coldStart(awake);
    const cycles = context.pick(300, 2);
    const thawMs: number[] = [];
    const frozenMs: number[] = [];
    const awakeMs: number[] = [];
    for (let cycle = 0; cycle < cycles; cycle += 1) {
      await waitFor('the instance to be frozen', async () => (await thaw.frozen()) === 1);
      const { ms, phases } = await coldStart(frozen);
      const thawed = phases.get('thaw');
      if (thawed === undefined) throw new Error('an answer of a frozen instance tells no thaw');
      thawMs.push(thawed);
      frozenMs.push(ms);
      awakeMs.push((await coldStart(awake)).ms);
    }
    return {
      measurements: [
        { subject: 'thaw', what: 'thaw', unit: 'ms', values: thawMs },
        { subject: 'thaw, frozen before', what: 'answer', unit: 'ms', values: frozenMs },
        { subject: 'thaw, never frozen', what: 'answer', unit: 'ms', values: awakeMs },
      ],
      verdicts: [
        {
          claim: 'p99 of what a thaw adds',
          sense: 'at most',
          bound: 1,
          value: quantile(thawMs, 0.99),
          unit: 'ms',
        },
      ],
      notes: [],
    };
  },
};
