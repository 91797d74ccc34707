import type { BenchContext } from './context.ts';

export type Unit =
  | 'requests/s'
  | 'ms'
  | 'MB'
  | 'KB'
  | 'MB/s'
  | 'GB x s'
  | 'instances/s'
  | 'messages/s'
  | 'us'
  | 'x'
  | '%'
  | '';

/** What was measured of one contestant: one value for each round, or one for each of many like events. */
export interface Measurement {
  /** `thaw`, a peer's name, or a variant of either. */
  readonly subject: string;
  readonly what: string;
  readonly unit: Unit;
  readonly values: readonly number[];
}

/** A target of the scenario and how far it was reached. */
export interface Verdict {
  readonly claim: string;
  readonly sense: 'at least' | 'at most';
  readonly bound: number;
  readonly value: number;
  readonly unit: Unit;
}

export interface ScenarioResult {
  readonly measurements: readonly Measurement[];
  readonly verdicts: readonly Verdict[];
  /** What a reader must know to judge the figures: a peer that is missing, a limit of this machine. */
  readonly notes: readonly string[];
}

/**
 * One thing that is measured. A module in `bench/scenarios/` exports one of it as `scenario` and is found by its file;
 * nothing else has to be told. `run` starts what it compares, in turn and for so many rounds as the context says, ends
 * it again, and is bounded in time; with `context.quick` it does the same with the smallest numbers that still go
 * through every line.
 */
export interface Scenario {
  /** As the command line has it; also the file's name. */
  readonly name: string;
  readonly title: string;
  /** What is compared with what, and how: the paragraph above the table. */
  readonly shows: string;
  /** Measurements of these names become a chart, one bar for each subject. */
  readonly charts: readonly string[];
  run(context: BenchContext): Promise<ScenarioResult>;
}
