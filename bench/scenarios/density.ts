import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { PROGRAMS } from '../contestants/contestant.ts';
import type { BenchContext } from '../context.ts';
import { coldStart, rest } from '../machine/cold-start.ts';
import { addedMegabytes, sandboxMemory } from '../machine/sandboxes.ts';
import type { Measurement, Scenario, Verdict } from '../scenario.ts';

const FREEZE_MS_MAX = 120_000;
const LANGUAGES = [
  { name: 'Node', runtime: 'nodejs26', file: 'index.js', program: 'handler.js', boundMb: 12 },
  { name: 'Python', runtime: 'python3', file: 'index.py', program: 'handler.py', boundMb: 4 },
] as const;

type Language = (typeof LANGUAGES)[number];

export const scenario: Scenario = {
  name: 'density',
  title: 'Density',
  shows:
    '200 functions, each called once and then frozen: what one such instance takes of the machine, all processes of its ' +
    'sandbox together. PSS divides pages that instances share among them; private counts what nobody shares.',
  charts: ['PSS of a frozen instance'],

  async run(context) {
    const measurements: Measurement[] = [];
    const verdicts: Verdict[] = [];
    for (const language of context.quick ? LANGUAGES.slice(0, 1) : LANGUAGES) {
      const added = await measureLanguage(context, language);
      const subject = `thaw, ${language.name}`;
      measurements.push(
        { subject, what: 'PSS of a frozen instance', unit: 'MB', values: [added.proportional] },
        { subject, what: 'private memory of a frozen instance', unit: 'MB', values: [added.private] },
      );
      verdicts.push({
        claim: `${language.name}, PSS of a frozen instance`,
        sense: 'at most',
        bound: language.boundMb,
        value: added.proportional,
        unit: 'MB',
      });
    }
    return { measurements, verdicts, notes: [] };
  },
};

/** Held against a platform on which one function was called before: what is there once counts for no instance. */
async function measureLanguage(
  context: BenchContext,
  language: Language,
): Promise<ReturnType<typeof addedMegabytes>> {
  const functions = context.pick(200, 1);
  const thaw = await context.startThaw();
  const { runtime, file, program } = language;
  const files = { [file]: await readFile(join(PROGRAMS, program)) };
  const start = async (n: number): Promise<void> => {
    const url = await thaw.deploy(`dense-${n}`, { runtime, files });
    await coldStart(url);
  };
  const untilFrozen = (count: number): Promise<boolean> =>
    waitFor(`${count} frozen instances`, async () => (await thaw.frozen()) >= count, FREEZE_MS_MAX);
  await start(0);
  await untilFrozen(1);
  await rest(context);
  const before = sandboxMemory(thaw);
  for (let n = 1; n <= functions; n += 1) await start(n);
  await untilFrozen(functions + 1);
  await rest(context);
  const after = sandboxMemory(thaw);
  await thaw.stop();
  context.say(`${language.name}: ${after.processes} processes`);
  return addedMegabytes(before, after, functions);
}
