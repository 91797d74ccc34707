import type { Unit } from '../scenario.ts';
import { formatValue } from './format-value.ts';

export interface Bar {
  readonly label: string;
  readonly value: number;
  /** Ours stand out. */
  readonly isOurs: boolean;
}

export interface BarChart {
  readonly title: string;
  readonly unit: Unit;
  readonly bars: readonly Bar[];
}

const WIDTH = 720;
const LABEL_WIDTH = 190;
const VALUE_WIDTH = 130;
const ROW = 28;
const TOP = 40;

/** Horizontal bars as an SVG that reads on light and on dark pages. */
export function barChartSvg({ title, unit, bars }: BarChart): string {
  const largest = Math.max(...bars.map(({ value }) => value), Number.MIN_VALUE);
  const room = WIDTH - LABEL_WIDTH - VALUE_WIDTH;
  const rows = bars.map(({ label, value, isOurs }, row) => {
    const y = TOP + row * ROW;
    const width = Math.max(1, Math.round((value / largest) * room));
    const middle = y + ROW / 2 + 4;
    return [
      `<text x="${LABEL_WIDTH - 10}" y="${middle}" text-anchor="end">${escaped(label)}</text>`,
      `<rect x="${LABEL_WIDTH}" y="${y + 4}" width="${width}" height="${ROW - 8}" rx="2" fill="${isOurs ? '#0b7a75' : '#9aa5b1'}"/>`,
      `<text x="${LABEL_WIDTH + width + 8}" y="${middle}">${escaped(formatValue(value, unit))}</text>`,
    ].join('');
  });
  const height = TOP + bars.length * ROW + 10;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img">`,
    `<title>${escaped(title)}</title>`,
    '<style>text{font:13px system-ui,sans-serif;fill:#1f2933}.t{font-weight:600}@media(prefers-color-scheme:dark){text{fill:#e4e7eb}}</style>',
    `<text class="t" x="10" y="22">${escaped(title)}</text>`,
    ...rows,
    '</svg>',
    '',
  ].join('\n');
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
