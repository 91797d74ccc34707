import { azureDay } from '../keep-alive/azure-day.ts';
import { replay, type Replayed } from '../keep-alive/replay.ts';
import type { Measurement, Scenario } from '../scenario.ts';
import { median } from '../statistics.ts';

const UNLIMITED_MB = 1e9;
const FIXED_MS = 10 * 60_000;
/** What `thaw serve` does where nothing is known of a function yet. */
const FALLBACK_MS = 5 * 60_000;
/** The day is the same in every run; rounds are different days. */
const SEED = 20_200_715;

export interface KeepAliveComparison {
  readonly thaw: Replayed;
  readonly fixed10min: Replayed;
  /** Cold starts of the first against those of the second. */
  readonly ratio: number;
  readonly memoryRatio: number;
}

/** One day under both policies. */
export function compareKeepAlive(functions: number, seed: number): KeepAliveComparison {
  const day = azureDay(functions, seed);
  const memoryMbMax = UNLIMITED_MB;
  const thaw = replay(day, { keepAlive: 'rhythm', idleMsMax: FALLBACK_MS, memoryMbMax });
  const fixed10min = replay(day, { keepAlive: 'fixed', idleMsMax: FIXED_MS, memoryMbMax });
  return {
    thaw,
    fixed10min,
    ratio: thaw.coldStarts / fixed10min.coldStarts,
    memoryRatio: thaw.memoryGbS / fixed10min.memoryGbS,
  };
}

export const scenario: Scenario = {
  name: 'keep-alive',
  title: 'Keep-alive policy',
  shows:
    'A day of many applications, synthesized from the distributions that Shahrad et al. published of Azure Functions ' +
    '("Serverless in the Wild", USENIX ATC 2020), played in virtual time through the scheduler of Thaw with its policy ' +
    'and with a fixed keep-alive of ten minutes. Calls, durations and memory are the same; every round is another day.',
  charts: ['cold starts', 'memory'],
  run: (context) => {
    const functions = context.pick(1_000, 60);
    const compared = Array.from({ length: context.rounds }, (_, round) => {
      const day = compareKeepAlive(functions, SEED + round);
      context.say(
        `day ${round + 1}: ${day.ratio.toFixed(2)} x the cold starts, ${day.memoryRatio.toFixed(2)} x the memory`,
      );
      return day;
    });
    const measured = (subject: string, of: (day: KeepAliveComparison) => Replayed): Measurement[] => [
      { subject, what: 'cold starts', unit: '', values: compared.map((day) => of(day).coldStarts) },
      { subject, what: 'memory', unit: 'GB x s', values: compared.map((day) => of(day).memoryGbS) },
    ];
    return Promise.resolve({
      measurements: [
        ...measured('thaw', ({ thaw }) => thaw),
        ...measured('fixed 10 minutes', ({ fixed10min }) => fixed10min),
      ],
      verdicts: [
        {
          claim: 'cold starts against a fixed keep-alive of ten minutes',
          sense: 'at most' as const,
          bound: 0.5,
          value: median(compared.map(({ ratio }) => ratio)),
          unit: 'x' as const,
        },
        {
          claim: 'memory against the same',
          sense: 'at most' as const,
          bound: 1,
          value: median(compared.map(({ memoryRatio }) => memoryRatio)),
          unit: 'x' as const,
        },
      ],
      notes: [
        'The trace itself is not part of the benchmark: the day has the published distributions, and the curves between ' +
          'their points, like the shares of regular, memoryless and bursty applications, are ours.',
        'Applications that are called more often than twice a minute are played at that rate: no policy here lets them go.',
      ],
    });
  },
};
