import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { MachineFacts } from '../machine/machine-facts.ts';
import type { Measurement, ScenarioResult } from '../scenario.ts';

export const RESULTS = join(import.meta.dirname, '../results');

/** The latest full run of one scenario, as it stands in `bench/results/<scenario>.json`. */
export interface SavedResult {
  readonly scenario: string;
  readonly machine: MachineFacts;
  readonly rounds: number;
  /** How long the scenario took. */
  readonly seconds: number;
  readonly result: ScenarioResult;
}

export async function saveResult(saved: SavedResult): Promise<void> {
  await mkdir(RESULTS, { recursive: true });
  const { result } = saved;
  const short = { ...saved, result: { ...result, measurements: result.measurements.map(rounded) } };
  await writeFile(join(RESULTS, `${saved.scenario}.json`), `${JSON.stringify(short, undefined, 1)}\n`);
}

/** By the scenario's name. */
export async function savedResults(): Promise<Map<string, SavedResult>> {
  const found = new Map<string, SavedResult>();
  for (const file of await readdir(RESULTS)) {
    if (!file.endsWith('.json')) continue;
    const saved: SavedResult = JSON.parse(await readFile(join(RESULTS, file), 'utf8'));
    found.set(saved.scenario, saved);
  }
  return found;
}

/** More digits than were measured would only make the next run's difference hard to read. */
function rounded(measurement: Measurement): Measurement {
  return { ...measurement, values: measurement.values.map((value) => Number(value.toPrecision(4))) };
}
