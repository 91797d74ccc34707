import type { Command } from '../command.ts';
import { EXIT_CODES } from '../exit-code.ts';
import type { MapCounts, MapFailure } from '../map/run-map.ts';
import { parseCount } from '../option-values.ts';
import { formatMs } from '../output/format.ts';
import type { Output } from '../output/output.ts';

interface Options {
  readonly lines?: string;
  readonly concurrency: number;
  readonly output: string;
  readonly qualifier?: string;
}

/** What a person reads; the rest is counted, and with `--json` all of it is there. */
const FAILURES_SHOWN_MAX = 20;

export const command: Command = {
  name: 'map',
  summary: 'run a function on many inputs at once',
  details:
    'Each input becomes an asynchronous invocation: accepted once, tried again as the function is configured, ' +
    'whatever dies. Results are files named after their inputs. The same command again goes on where it was ' +
    'interrupted, and tries what had failed once more.',
  arguments: [
    { name: 'function', summary: 'its name' },
    { name: 'inputs...', summary: 'files, each of them an event', optional: true },
  ],
  options: [
    { flags: '--lines <file>', summary: 'take the lines of a file as events; - is standard input' },
    { flags: '--concurrency <number>', summary: 'so many at once', default: 10, parse: parseCount },
    { flags: '-o, --output <directory>', summary: 'where the results go', default: 'results' },
    { flags: '--qualifier <name>', summary: 'a version or an alias (default: LATEST)' },
  ],
  examples: [
    { run: 'thaw map thumbnail photos/*.jpg --concurrency 50 -o small', does: 'small/<name of the photo>' },
    { run: 'seq 1000 | thaw map work --lines - -o out --json', does: 'a line each, the summary as JSON' },
  ],
  run: async ({ output, connect, signal }, [functionName = '', ...files], options: Options) => {
    const { readInputs } = await import('../map/map-inputs.ts');
    const { MapPlan } = await import('../map/map-plan.ts');
    const { MapTasks } = await import('../map/map-tasks.ts');
    const { runMap } = await import('../map/run-map.ts');
    const { Progress } = await import('../output/progress.ts');
    const { qualifier, concurrency, lines } = options;
    const inputs = await readInputs({ files, lines });
    const client = await connect();
    const plan = await MapPlan.open({ functionName, qualifier, inputs, directory: options.output });
    const startedMs = performance.now();
    using progress = new Progress(output, inputs.length);
    const { counts, failures } = await runMap(plan, inputs, new MapTasks(client, functionName, qualifier), {
      concurrency,
      signal,
      onProgress: (now) => progress.show(doneOf(now), aboutOf(now)),
    });
    progress[Symbol.dispose]();
    const tookMs = Math.round(performance.now() - startedMs);
    output.result({ ...counts, tookMs, directory: plan.directory, failures }, () => []);
    summarize(output, counts, failures, tookMs, plan.directory);
    return counts.failed === 0 ? EXIT_CODES.ok : EXIT_CODES.function;
  },
};

function doneOf({ resumed, succeeded, failed }: MapCounts): number {
  return resumed + succeeded + failed;
}

function aboutOf({ running, failed }: MapCounts): string {
  return [`${running} running`, ...(failed === 0 ? [] : [`${failed} failed`])].join(' · ');
}

function summarize(
  output: Output,
  counts: MapCounts,
  failures: readonly MapFailure[],
  tookMs: number,
  directory: string,
): void {
  const { resumed, succeeded, failed, retries, workedMs } = counts;
  const facts = [
    `${succeeded} done`,
    ...(resumed === 0 ? [] : [`${resumed} were there`]),
    ...(failed === 0 ? [] : [`${failed} failed`]),
    ...(retries === 0 ? [] : [`${retries} tries more than inputs`]),
    `${formatMs(workedMs)} of work in ${formatMs(tookMs)}`,
  ];
  output.note(`${facts.join(' · ')} · ${directory}`);
  for (const { input, status, message } of failures.slice(0, FAILURES_SHOWN_MAX)) {
    output.note(`${output.styleError('red', input)}: ${status}${message === '' ? '' : `: ${message}`}`);
  }
  if (failures.length > FAILURES_SHOWN_MAX)
    output.note(`and ${failures.length - FAILURES_SHOWN_MAX} further ones`);
  if (failed > 0) output.note('The same command again tries those once more.');
}
