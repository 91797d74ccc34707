import type { Unit, Verdict } from '../scenario.ts';

/** Three significant digits, thousands grouped. */
export function formatValue(value: number, unit: Unit): string {
  if (!Number.isFinite(value)) return 'none';
  const digits = value === 0 ? 0 : Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  const text = value.toLocaleString('en-US', {
    minimumFractionDigits: Math.min(3, digits),
    maximumFractionDigits: Math.min(3, digits),
  });
  if (unit === '') return text;
  return unit === 'x' || unit === '%' ? `${text}${unit === 'x' ? ' x' : '%'}` : `${text} ${unit}`;
}

export function isReached({ sense, bound, value }: Verdict): boolean {
  return sense === 'at least' ? value >= bound : value <= bound;
}
