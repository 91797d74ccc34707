/**
 * `npm run bench -- [NAME...] [--quick] [--rounds N] [--list]`. Runs the scenarios one after the other, prints what they
 * found, keeps it in `bench/results/<name>.json` and writes docs/BENCHMARKS.md anew from all results that are there. A
 * quick run keeps nothing: its figures mean nothing.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { BenchContext } from './context.ts';
import { machineFacts } from './machine/machine-facts.ts';
import { endPrograms } from './machine/program.ts';
import { writeDocument } from './report/document.ts';
import { printResult } from './report/print-result.ts';
import { saveResult } from './report/saved-result.ts';
import type { Scenario } from './scenario.ts';
import { within } from './within.ts';

const ROUNDS = 5;
/** A scenario that takes longer than this has gone wrong; the next one is still run. */
const SCENARIO_MS_MAX = 30 * 60_000;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    list: { type: 'boolean', default: false },
  },
});
const say = (line: string): void => {
  process.stderr.write(`${line}\n`);
};

/** What is open now: whoever interrupts a run leaves no platform behind, also none that is being started. */
let running: BenchContext | undefined;
let isInterrupted = false;
// A terminal's interrupt comes twice: from it, and from the command that started this.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => void interrupt());

const scenarios = await loadScenarios();
const chosen = positionals.length === 0 ? scenarios : positionals.map(scenarioNamed);
if (values.list) {
  for (const { name, title } of scenarios) process.stdout.write(`${name.padEnd(24)}${title}\n`);
} else {
  await runAll();
}

async function runAll(): Promise<void> {
  const { quick } = values;
  const rounds = quick ? 1 : roundsOf(values.rounds);
  for (const scenario of chosen) {
    if (isInterrupted) return;
    say(`\n${scenario.name}: ${scenario.title}`);
    const startMs = performance.now();
    try {
      const result = await runOne(scenario, quick, rounds);
      const seconds = Math.round((performance.now() - startMs) / 1000);
      printResult(scenario, result, rounds);
      say(`${scenario.name} took ${seconds} s`);
      if (!quick)
        await saveResult({ scenario: scenario.name, machine: await machineFacts(), rounds, seconds, result });
    } catch (error) {
      process.exitCode = 1;
      if (isInterrupted) return;
      say(
        `${scenario.name} FAILED: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
      );
    }
  }
  if (!quick) await writeDocument(scenarios);
}

async function runOne(
  scenario: Scenario,
  quick: boolean,
  rounds: number,
): Promise<ReturnType<Scenario['run']>> {
  await using context = new BenchContext({ quick, rounds, say });
  running = context;
  return await within(SCENARIO_MS_MAX, scenario.run(context));
}

async function interrupt(): Promise<void> {
  if (isInterrupted) return;
  isInterrupted = true;
  say('interrupted: what was started is being stopped');
  try {
    await endPrograms();
    await running?.[Symbol.asyncDispose]();
  } finally {
    process.exit(1);
  }
}

async function loadScenarios(): Promise<Scenario[]> {
  const directory = join(import.meta.dirname, 'scenarios');
  const files = (await readdir(directory)).filter(
    (file) => file.endsWith('.ts') && !file.endsWith('.test.ts'),
  );
  const loaded = await Promise.all(
    files.toSorted().map(async (file) => {
      const module: { readonly scenario: Scenario } = await import(join(directory, file));
      return module.scenario;
    }),
  );
  return loaded;
}

function scenarioNamed(name: string): Scenario {
  const found = scenarios.find((scenario) => scenario.name === name);
  if (found !== undefined) return found;
  throw new Error(`there is no scenario '${name}'; known: ${scenarios.map((each) => each.name).join(', ')}`);
}

function roundsOf(text: string | undefined): number {
  if (text === undefined) return ROUNDS;
  const rounds = Number(text);
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > 100) throw new Error('--rounds takes 1 to 100');
  return rounds;
}
