import type { Verdict } from '../scenario.ts';
import { formatValue, isReached } from './format-value.ts';

/** A verdict as a line on the terminal. */
export function verdictLine(verdict: Verdict): string {
  const { claim, sense, bound, value, unit } = verdict;
  const mark = isReached(verdict) ? 'reached' : 'MISSED ';
  return `  ${mark} ${claim}: ${formatValue(value, unit)} (${sense} ${formatValue(bound, unit)})`;
}
