/**
 * A day of a function platform, synthesized from what Shahrad et al. published of Azure Functions ("Serverless in the
 * Wild", USENIX ATC 2020; section 3 and its figures): how often applications are called (45 % of them once an hour or
 * less, 81 % once a minute or less), how regular that is (a part like clockwork, a part without memory, a large part in
 * bursts, whose coefficient of variation is above 1), how long calls take (log-normal) and what memory applications have
 * (Burr). The published points are theirs; the curves between them and the shares of the three kinds are ours.
 */

export interface DayFunction {
  readonly name: string;
  readonly memoryMb: number;
  readonly durationMs: number;
  /** Milliseconds since the day's begin, ascending. */
  readonly calls: readonly number[];
}

const DAY_MS = 24 * 3_600_000;
const MINUTE_MS = 60_000;

/** Calls a day up to which so large a share of the applications lies. */
const RATES: readonly { readonly share: number; readonly perDay: number }[] = [
  { share: 0, perDay: 1 },
  { share: 0.45, perDay: 24 },
  { share: 0.81, perDay: 1440 },
  { share: 1, perDay: 100_000_000 },
];
/** Above one call a minute no policy here ever lets go, so the rest of such an application's calls tells nothing. */
const PER_DAY_MAX = 2 * 1440;

const REGULAR_SHARE = 0.3;
const MEMORYLESS_SHARE = 0.25;

/** Seconds: mean and standard deviation of the logarithm. */
const DURATION = { mean: -0.38, deviation: 2.36, maxS: 60 };
/** MB. */
const MEMORY = { c: 11.652, k: 0.221, scale: 107.083, maxMb: 1536 };

export function azureDay(functions: number, seed: number): readonly DayFunction[] {
  const random = randomFrom(seed);
  return Array.from({ length: functions }, (_, index) => ({
    name: `f${index}`,
    memoryMb: Math.ceil(
      Math.min(MEMORY.maxMb, MEMORY.scale * ((1 - random()) ** (-1 / MEMORY.k) - 1) ** (1 / MEMORY.c)),
    ),
    durationMs: 1000 * Math.min(DURATION.maxS, Math.exp(DURATION.mean + DURATION.deviation * normal(random))),
    calls: callsOf(random),
  })).filter(({ calls }) => calls.length > 0);
}

function callsOf(random: () => number): number[] {
  const perDay = Math.min(PER_DAY_MAX, rateAt(random()));
  const meanMs = DAY_MS / perDay;
  const kind = random();
  if (kind < REGULAR_SHARE) return regular(random, meanMs);
  return kind < REGULAR_SHARE + MEMORYLESS_SHARE ? memoryless(random, meanMs) : bursts(random, meanMs);
}

function rateAt(share: number): number {
  const upper = Math.max(
    1,
    RATES.findIndex((point) => share <= point.share),
  );
  const [low, high] = [RATES[upper - 1], RATES[upper]];
  if (low === undefined || high === undefined) throw new Error(`no rate at ${share}`);
  const part = (share - low.share) / (high.share - low.share);
  return Math.exp(Math.log(low.perDay) + part * (Math.log(high.perDay) - Math.log(low.perDay)));
}

/** A timer, a second early or late. */
function regular(random: () => number, meanMs: number): number[] {
  const calls: number[] = [];
  for (let at = random() * meanMs; at < DAY_MS; at += meanMs) calls.push(at + random() * 1000);
  return calls;
}

function memoryless(random: () => number, meanMs: number): number[] {
  const calls: number[] = [];
  for (
    let at = random() * exponential(random) * 2 * meanMs;
    at < DAY_MS;
    at += exponential(random) * meanMs
  ) {
    calls.push(at);
  }
  return calls;
}

/** Groups of calls close together, and long times between them. */
function bursts(random: () => number, meanMs: number): number[] {
  const sizeMean = 1 + Math.floor(exponential(random) * 6);
  const closeMs = Math.min(meanMs / 5, (0.5 + 2 * random()) * MINUTE_MS);
  const calls: number[] = [];
  for (let at = random() * meanMs * sizeMean; at < DAY_MS; at += exponential(random) * meanMs * sizeMean) {
    const size = 1 + Math.floor(exponential(random) * sizeMean);
    for (let number = 0; number < size && at < DAY_MS; number += 1) {
      calls.push(at);
      at += exponential(random) * closeMs;
    }
  }
  return calls;
}

/** The same numbers for the same seed, on any machine (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function exponential(random: () => number): number {
  return -Math.log(1 - random());
}

function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}
