import { setTimeout as sleep } from 'node:timers/promises';
import { generate, perSecond } from '../load/load.ts';
import type { Measurement, Scenario, Verdict } from '../scenario.ts';
import { median } from '../statistics.ts';

/** Seconds without a start before the burst, in which the platform makes networks ahead. */
const IDLE_S = 15;

interface Language {
  readonly name: string;
  readonly runtime: string;
  readonly file: string;
  /** The handler sleeps so long that no instance is free for a second request before the last one has started. */
  readonly sleepS: number;
  readonly bound: number;
  source(sleepS: number): string;
}

const LANGUAGES: readonly Language[] = [
  {
    name: 'Python',
    runtime: 'python3',
    file: 'index.py',
    sleepS: 8,
    bound: 200,
    source: (s) => `import time\n\ndef handler(event, context):\n    time.sleep(${s})\n    return "done"\n`,
  },
  {
    name: 'Node',
    runtime: 'nodejs26',
    file: 'index.js',
    sleepS: 15,
    bound: 50,
    source: (s) => `exports.handler = () => new Promise((done) => setTimeout(done, ${s * 1000}, 'done'));\n`,
  },
];

export const scenario: Scenario = {
  name: 'scale-out',
  title: 'Scale-out',
  shows:
    `One function that takes one request at a time, idle for ${IDLE_S} seconds as the whole platform, gets 200 requests at ` +
    'once, whose handler sleeps longer than the burst takes: instances a second, from the first request until the last ' +
    'one is with its instance.',
  charts: ['instances a second'],

  async run(context) {
    const burst = context.pick(200, 4);
    const measurements: Measurement[] = [];
    const verdicts: Verdict[] = [];
    const notes: string[] = [];
    for (const language of context.quick ? LANGUAGES.slice(0, 1) : LANGUAGES) {
      const values: number[] = [];
      for (let round = 0; round < context.pick(Math.min(3, context.rounds), 1); round += 1) {
        const thaw = await context.startThaw();
        const sleepS = context.pick(language.sleepS, 1);
        const url = await thaw.deploy('burst', {
          runtime: language.runtime,
          files: { [language.file]: language.source(sleepS) },
        });
        await sleep(context.pick(IDLE_S, 0) * 1000);
        const outcome = await generate([{ url, body: '{}' }], {
          connections: burst,
          seconds: 1,
          count: burst,
        });
        perSecond(outcome);
        const instances = await thaw.instances();
        if (instances < burst)
          notes.push(
            `${language.name}: ${burst - instances} requests found an instance that had slept already`,
          );
        values.push(burst / (outcome.max / 1000 - sleepS));
        await thaw.stop();
        context.say(`${language.name}: ${Math.round(values.at(-1) ?? 0)} instances/s`);
      }
      measurements.push({
        subject: `thaw, ${language.name}`,
        what: 'instances a second',
        unit: 'instances/s',
        values,
      });
      verdicts.push({
        claim: `${language.name}, instances a second`,
        sense: 'at least',
        bound: language.bound,
        value: median(values),
        unit: 'instances/s',
      });
    }
    return { measurements, verdicts, notes };
  },
};
