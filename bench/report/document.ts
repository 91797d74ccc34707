import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runProgram } from '../machine/program.ts';
import type { Measurement, Scenario } from '../scenario.ts';
import { median, quantile, spread } from '../statistics.ts';
import { barChartSvg } from './bar-chart.ts';
import { formatValue, isReached } from './format-value.ts';
import { RESULTS, savedResults, type SavedResult } from './saved-result.ts';

const DOCUMENT = join(import.meta.dirname, '../../docs/BENCHMARKS.md');
const FORMATTER = join(import.meta.dirname, '../../node_modules/.bin/oxfmt');
const BEGIN = '<!-- written by `npm run bench`; what stands between these two lines is replaced -->';
const END = '<!-- end of what `npm run bench` writes -->';
/** From so many values on the tail says something. */
const TAIL_VALUES_MIN = 50;

/** Replaces the generated region of docs/BENCHMARKS.md, and the charts, by what the saved results say. */
export async function writeDocument(scenarios: readonly Scenario[]): Promise<void> {
  const saved = await savedResults();
  const parts: string[] = [];
  for (const scenario of scenarios) {
    const result = saved.get(scenario.name);
    parts.push(result === undefined ? unmeasured(scenario) : await section(scenario, result));
  }
  const document = await readFile(DOCUMENT, 'utf8');
  const begin = document.indexOf(BEGIN);
  const end = document.indexOf(END);
  if (begin === -1 || end < begin) throw new Error('docs/BENCHMARKS.md has no generated region');
  const generated = `${BEGIN}\n\n${parts.join('\n')}\n`;
  await writeFile(DOCUMENT, document.slice(0, begin) + generated + document.slice(end));
  // As all documents here are kept, so that a run leaves nothing to tidy up.
  const { code, stderr } = await runProgram(FORMATTER, [DOCUMENT]);
  if (code !== 0) throw new Error(`docs/BENCHMARKS.md could not be formatted: ${stderr}`);
}

function unmeasured({ name, title, shows }: Scenario): string {
  return `### ${title}\n\n${shows}\n\nNot measured yet: \`npm run bench -- ${name}\`.\n`;
}

async function section(scenario: Scenario, { machine, rounds, result }: SavedResult): Promise<string> {
  const { name, title, shows } = scenario;
  const lines = [`### ${title}`, '', shows, ''];
  lines.push(`\`npm run bench -- ${name}\`, ${rounds} rounds; ${machine.date}, commit ${machine.commit},`);
  lines.push(
    `${machine.processors}, ${machine.memoryGb} GB, Linux ${machine.kernel}, load ${machine.load}.`,
    '',
  );
  lines.push(...table(result.measurements));
  for (const what of scenario.charts) {
    const charted = result.measurements.filter((each) => each.what === what);
    const [first] = charted;
    if (first === undefined) continue;
    const file = `${name}-${what.replaceAll(/\W+/g, '-')}.svg`;
    const bars = charted.map(({ subject, values }) => ({
      label: subject,
      value: median(values),
      isOurs: subject.startsWith('thaw'),
    }));
    await writeFile(join(RESULTS, file), barChartSvg({ title: `${title}: ${what}`, unit: first.unit, bars }));
    lines.push('', `![${title}: ${what}](../bench/results/${file})`);
  }
  if (result.verdicts.length > 0) lines.push('', '| target | must be | is | |', '| --- | --- | --- | --- |');
  for (const verdict of result.verdicts) {
    const { claim, sense, bound, value, unit } = verdict;
    const mark = isReached(verdict) ? 'reached' : '**missed**';
    lines.push(`| ${claim} | ${sense} ${formatValue(bound, unit)} | ${formatValue(value, unit)} | ${mark} |`);
  }
  for (const note of result.notes) lines.push('', `Note: ${note}.`);
  lines.push('');
  return lines.join('\n');
}

function table(measurements: readonly Measurement[]): string[] {
  const hasTail = measurements.some(({ values }) => values.length >= TAIL_VALUES_MIN);
  const head = hasTail ? '| | what | median | p99 | spread |' : '| | what | median | spread |';
  const rule = hasTail ? '| --- | --- | --- | --- | --- |' : '| --- | --- | --- | --- |';
  return [
    head,
    rule,
    ...measurements.map(({ subject, what, unit, values }) => {
      const tail =
        values.length >= TAIL_VALUES_MIN ? ` ${formatValue(quantile(values, 0.99), unit)} |` : ' |';
      const trust = values.length > 1 ? `±${Math.round(spread(values) * 100)}%` : '';
      return `| ${subject} | ${what} | ${formatValue(median(values), unit)} |${hasTail ? tail : ''} ${trust} |`;
    }),
  ];
}
