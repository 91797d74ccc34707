/**
 * How long a function's instance is worth keeping after a call, and whether it is worth stopping and starting again
 * before the next: by a histogram of the function's idle times, as Shahrad et al. do it ("Serverless in the Wild:
 * Characterizing and Optimizing the Serverless Workload at a Large Cloud Provider", USENIX ATC 2020, section 4). There
 * the window is from the 5th to the 99th percentile, whatever it costs; here it is the one that is worth most, for cold
 * starts are bought with memory, and on calls that come in bursts the last percents are the dearest. When memory is
 * short, `keep-alive.ts` decides which of the kept instances goes.
 */
import { BIN_MS, BINS, type IdleHistogram } from './idle-histogram.ts';

export interface KeepAlivePlan {
  /** From the end of the last call: when an instance is started again; 0: it stays. */
  readonly prewarmMs: number;
  /** From the end of the last call: when it stops for want of another one. */
  readonly keepMs: number;
}

/** Fewer idle times say nothing. */
const IDLE_TIMES_MIN = 4;
/** What one cold start is worth, in GB x s of idle memory: an instance of 512 MB for ten minutes. */
const COLD_START_GB_S = 300;
/** Stopping and starting again must save so many minutes at least. */
const PREWARM_BINS_MIN = 3;
/** An instance that is started again before the next call is not stopped at once: calls may come close together. */
const RELEASE_MS = 10_000;
const KEEP_MS_MIN = 60_000;
/** The window is widened by so much at both ends. */
const MARGIN_MS = BIN_MS / 2;

/**
 * What is believed before anything was seen, and counts as much as one idle time that was: that each length is as likely
 * as any other on a logarithmic scale, from half a minute to twice the range.
 */
const BELIEF_COUNT = 1;
const BELIEF: readonly number[] = Array.from(
  { length: BINS },
  (_, bin) => Math.log((bin + 1.5) / (bin + 0.5)) / Math.log((BINS * 2) / 0.5),
);

/** The plan that the idle times so far suggest, or undefined where they are too few to suggest any. */
export function keepAlivePlan(
  idle: Pick<IdleHistogram, 'count' | 'at'>,
  memoryMb: number,
): KeepAlivePlan | undefined {
  if (idle.count < IDLE_TIMES_MIN) return undefined;
  const memoryGb = memoryMb / 1024;
  // Cost of a window from bin `a` to bin `b`: cold starts outside of it and memory inside of it. It is the difference
  // of one sum at both ends, so the best window is found in one pass from the back.
  const costs = costsByBin(idle, memoryGb);
  const releaseCost = (memoryGb * RELEASE_MS) / 1000;
  let best = { cost: Infinity, from: 0, to: 0 };
  let cheapestTo = BINS;
  for (let from = BINS; from >= 0; from -= 1) {
    if ((costs[from] ?? 0) <= (costs[cheapestTo] ?? 0)) cheapestTo = from;
    if (from > 0 && from < PREWARM_BINS_MIN) continue;
    const cost = (costs[cheapestTo] ?? 0) - (costs[from] ?? 0) + (from > 0 ? releaseCost : 0);
    if (cost <= best.cost) best = { cost, from, to: cheapestTo };
  }
  return {
    prewarmMs: best.from === 0 ? 0 : best.from * BIN_MS - MARGIN_MS,
    keepMs: Math.max(KEEP_MS_MIN, best.to * BIN_MS + MARGIN_MS),
  };
}

/** At each bin's begin: what calls after it would cost cold, and what keeping an instance until it costs, in GB x s. */
function costsByBin(idle: Pick<IdleHistogram, 'count' | 'at'>, memoryGb: number): readonly number[] {
  const total = idle.count + BELIEF_COUNT;
  const costs = [COLD_START_GB_S];
  let later = 1;
  let keptS = 0;
  for (const [bin, believed] of BELIEF.entries()) {
    const share = (idle.at(bin) + BELIEF_COUNT * believed) / total;
    later -= share;
    keptS += (BIN_MS / 1000) * (later + share / 2);
    costs.push(COLD_START_GB_S * later + memoryGb * keptS);
  }
  return costs;
}

/** When an instance that rests is to stop, by the plan of its function, which is quiet. All times are monotonic. */
export function plannedStopMs(plan: KeepAlivePlan, quietSinceMs: number, restingSinceMs: number): number {
  const isBefore = plan.prewarmMs > 0 && restingSinceMs < quietSinceMs + plan.prewarmMs;
  return isBefore ? restingSinceMs + RELEASE_MS : quietSinceMs + plan.keepMs;
}
