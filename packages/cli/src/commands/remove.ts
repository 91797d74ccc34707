import { createInterface } from 'node:readline/promises';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { deleteFunction } from '../api/delete-function.ts';
import type { Command, CommandContext } from '../command.ts';
import { exitCodeOfFault } from '../exit-code.ts';
import { type ErrorReport, errorReport, errorLines } from '../output/report-error.ts';

interface Options {
  readonly template?: string;
  readonly only?: readonly string[];
  readonly yes?: boolean;
}

interface Removed {
  readonly functionName: string;
  readonly outcome: 'removed' | 'absent' | 'failed';
  readonly error?: ErrorReport;
}

export const command: Command = {
  name: 'remove',
  summary: 'delete what `thaw deploy` made',
  details:
    'Deletes the functions of the file with their triggers, aliases and versions. Asks first on a terminal.',
  options: [
    { flags: '-t, --template <file>', summary: 'the file (default: s.yaml or s.yml here)' },
    { flags: '--only <names...>', summary: 'remove only these resources of the file' },
    { flags: '-y, --yes', summary: 'do not ask' },
  ],
  examples: [
    { run: 'thaw remove', does: 'everything in ./s.yaml, after a question' },
    { run: 'thaw remove --only api --yes', does: 'one function, without a question' },
  ],
  run: async (context, _args, options: Options) => {
    const { output, signal } = context;
    const { findTemplate, readSYaml } = await import('../s-yaml/read-s-yaml.ts');
    const { selectResources } = await import('../deploy/deploy-project.ts');
    const project = await readSYaml(findTemplate(options.template, process.cwd()), context.environment);
    const names = selectResources(project, options.only ?? []).map((resource) => resource.props.functionName);
    if (options.yes !== true) await confirm(context, names);
    const client = await context.connect();
    const results: Removed[] = [];
    let failure: ThawError | undefined;
    for (const functionName of names) {
      signal.throwIfAborted();
      try {
        const outcome = (await deleteFunction(client, functionName)) ? 'removed' : 'absent';
        results.push({ functionName, outcome });
        output.line(
          outcome === 'removed' ? `- ${functionName}: removed` : `= ${functionName}: was not there`,
        );
      } catch (thrown) {
        signal.throwIfAborted();
        const error = ThawError.from(thrown, `removing ${functionName}`);
        failure ??= error;
        results.push({ functionName, outcome: 'failed', error: errorReport(error) });
        output.line(`! ${functionName}: failed`);
        for (const line of errorLines(output, errorReport(error))) output.stderr.write(`  ${line}\n`);
      }
    }
    output.result({ file: project.file, results }, () => []);
    return failure === undefined ? 0 : exitCodeOfFault(failure.fault);
  },
};

/** Without a terminal nobody can answer, and nothing is deleted on a guess. */
async function confirm({ output, signal }: CommandContext, names: readonly string[]): Promise<void> {
  const what =
    names.length === 1 ? `the function ${names[0]}` : `${names.length} functions (${names.join(', ')})`;
  if (!process.stdin.isTTY || !output.isTerminal) {
    throw new ThawError(
      'INVALID_ARGUMENT',
      `removing ${what} needs a confirmation, and this is no terminal`,
      {
        details: { advice: 'Say --yes.' },
      },
    );
  }
  const prompt = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await prompt.question(`Delete ${what} with triggers, aliases and versions? [y/N] `, {
      signal,
    });
    if (/^y(es)?$/i.test(answer.trim())) return;
  } finally {
    prompt.close();
  }
  throw new ThawError('INVALID_ARGUMENT', 'nothing was removed');
}
