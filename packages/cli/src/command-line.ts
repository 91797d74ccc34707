import { isAbsolute, resolve } from 'node:path';
import { homedir } from 'node:os';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { Command as Parser, CommanderError, Option } from 'commander';
import manifest from '../package.json' with { type: 'json' };
import { Client } from './api/client.ts';
import { findPlatform } from './api/platform.ts';
import { CATALOGUE, commandNameIn, loadCommands, NOUN_SUMMARIES } from './catalogue.ts';
import type { Command, CommandContext } from './command.ts';
import { EXIT_CODE_HELP, EXIT_CODES, exitCodeOfFault } from './exit-code.ts';
import { Interruption } from './interruption.ts';
import { errorReport, reportError } from './output/report-error.ts';
import { Output } from './output/output.ts';
import { joinWrapper } from './wrapper.ts';

/** Options that every command takes, before they are resolved. */
interface SharedOptions {
  readonly json?: boolean;
  readonly dataDir?: string;
}

/** Runs one command line (without node and script) and answers its exit code. Never throws. */
export async function runCommandLine(argv: readonly string[]): Promise<number> {
  joinWrapper();
  endQuietlyWhenNobodyReads(process.stdout);
  endQuietlyWhenNobodyReads(process.stderr);
  let exitCode: number = EXIT_CODES.ok;
  const wanted = commandNameIn(argv);
  const commands = await loadCommands(wanted === undefined ? [...CATALOGUE.keys()] : [wanted]);
  const parser = buildParser(commands, async (command, args, leaf) => {
    exitCode = await runCommand(command, args, leaf);
  });
  try {
    await parser.parseAsync(argv.length === 0 ? ['help'] : [...argv], { from: 'user' });
  } catch (error) {
    const output = new Output({ json: argv.includes('--json') });
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return EXIT_CODES.ok;
      // Commander has told people already.
      const failure = new ThawError('INVALID_ARGUMENT', error.message.replace(/^error: /, ''));
      if (output.isJson) output.result({ error: errorReport(failure) }, () => []);
      return EXIT_CODES.caller;
    }
    const failure = ThawError.from(error, 'reading the command line');
    reportError(output, failure);
    return exitCodeOfFault(failure.fault);
  }
  return exitCode;
}

type Run = (command: Command, args: readonly string[], parser: Parser) => Promise<void>;

function buildParser(commands: readonly Command[], run: Run): Parser {
  const parser = new Parser('thaw')
    .description('Your own functions platform.')
    .version(manifest.version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show help')
    .helpCommand('help [command]', 'show help for a command')
    // `thaw alias set … --version 2` is not `thaw --version`.
    .enablePositionalOptions()
    .showSuggestionAfterError()
    .showHelpAfterError('(`thaw help` lists the commands, `thaw <command> --help` shows one)')
    .addHelpText('after', `\n${EXIT_CODE_HELP}`)
    .exitOverride();
  const nouns = new Map<string, Parser>();
  for (const command of commands) {
    const [first = '', verb] = command.name.split(' ');
    if (verb === undefined) {
      addCommand(parser, first, command, run);
      continue;
    }
    let noun = nouns.get(first);
    if (noun === undefined) {
      noun = parser.command(first).description(NOUN_SUMMARIES[first] ?? '');
      noun.helpCommand(false).showSuggestionAfterError();
      nouns.set(first, noun);
    }
    addCommand(noun, verb, command, run);
  }
  return parser;
}

function addCommand(parent: Parser, word: string, command: Command, run: Run): void {
  const parser = parent.command(word).description(describe(command)).summary(command.summary);
  for (const argument of command.arguments ?? []) {
    const notation = argument.optional === true ? `[${argument.name}]` : `<${argument.name}>`;
    parser.argument(notation, argument.summary);
  }
  for (const { flags, summary, default: value, choices, many, parse } of command.options ?? []) {
    const option = new Option(flags, summary);
    if (value !== undefined) option.default(value);
    if (choices !== undefined) option.choices(choices);
    if (parse !== undefined) option.argParser(parse);
    if (many === true) {
      option.argParser((text: string, gathered: readonly string[] | undefined) => [
        ...(gathered ?? []),
        text,
      ]);
    }
    parser.addOption(option);
  }
  parser.option('--json', 'print one JSON value (streams: one per line) on stdout and nothing else');
  parser.option('--data-dir <directory>', 'where the platform keeps its data (default: ~/.thaw)');
  parser.addHelpText('after', `\n${describeExamples(command)}\n\n${EXIT_CODE_HELP}`);
  parser.action(async (...parsed: unknown[]) => {
    const given = parsed.slice(0, command.arguments?.length ?? 0).flat();
    const args = given.filter((arg) => typeof arg === 'string');
    await run(command, args, parser);
  });
}

function describe(command: Command): string {
  const summary = `${command.summary.charAt(0).toUpperCase()}${command.summary.slice(1)}.`;
  return command.details === undefined ? summary : `${summary}\n\n${command.details}`;
}

function describeExamples(command: Command): string {
  const lines = command.examples.map(({ run, does }) => `  # ${does}\n  ${run}`);
  return `Examples:\n${lines.join('\n')}`;
}

async function runCommand(command: Command, args: readonly string[], parser: Parser): Promise<number> {
  const options = parser.opts<SharedOptions>();
  const output = new Output({ json: options.json === true });
  using interruption = command.ownsSignals === true ? undefined : new Interruption();
  const signal = interruption?.signal ?? new AbortController().signal;
  const dataDir = resolveDataDir(options.dataDir);
  const environment = process.env;
  const find = (): ReturnType<typeof findPlatform> =>
    findPlatform({ dataDir, isDataDirGiven: options.dataDir !== undefined, environment });
  let client: Client | undefined;
  const context: CommandContext = {
    output,
    signal,
    environment,
    dataDir,
    findPlatform: find,
    connect: async () => (client ??= new Client(await find(), signal)),
  };
  try {
    const code = await command.run(context, args, parser.opts<never>());
    return interruption?.exitCode ?? code ?? EXIT_CODES.ok;
  } catch (error) {
    if (interruption?.exitCode !== undefined) return interruption.exitCode;
    const failure = ThawError.from(error, `running \`thaw ${command.name}\``);
    reportError(output, failure);
    return exitCodeOfFault(failure.fault);
  } finally {
    client?.close();
  }
}

function resolveDataDir(given: string | undefined): string {
  const path = given ?? '~/.thaw';
  if (path === '~' || path.startsWith('~/')) return resolve(homedir(), path.slice(2));
  return isAbsolute(path) ? path : resolve(path);
}

/** `thaw logs | head` closes our stdout: that is how it says "enough", not an error. */
function endQuietlyWhenNobodyReads(stream: NodeJS.WriteStream): void {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(EXIT_CODES.ok);
    throw error;
  });
}
