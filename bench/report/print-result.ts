import type { Scenario, ScenarioResult } from '../scenario.ts';
import { median, quantile, spread } from '../statistics.ts';
import { formatValue } from './format-value.ts';
import { verdictLine } from './verdict-line.ts';

/** A scenario's figures on the terminal. */
export function printResult(
  scenario: Scenario,
  { measurements, verdicts, notes }: ScenarioResult,
  rounds: number,
): void {
  const lines = [`== ${scenario.title} (${rounds} rounds)`];
  for (const { subject, what, unit, values } of measurements) {
    const p99 = values.length >= 50 ? `  p99 ${formatValue(quantile(values, 0.99), unit)}` : '';
    const trust = values.length > 1 ? `  ±${Math.round(spread(values) * 100)}%` : '';
    lines.push(`  ${subject.padEnd(28)}${what.padEnd(32)}${formatValue(median(values), unit)}${p99}${trust}`);
  }
  for (const verdict of verdicts) lines.push(verdictLine(verdict));
  for (const note of notes) lines.push(`  note: ${note}`);
  process.stdout.write(`${lines.join('\n')}\n`);
}
