import { styleText, stripVTControlCharacters } from 'node:util';

export type Format = Parameters<typeof styleText>[0];

/**
 * Where a command's words go. Results are on stdout, everything else (progress, summaries, errors) on stderr, so that
 * stdout can be piped. With `--json` stdout carries JSON only and stderr errors only.
 */
export class Output {
  readonly isJson: boolean;
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;

  constructor(options: { readonly json: boolean }) {
    this.isJson = options.json;
    this.stdout = process.stdout;
    this.stderr = process.stderr;
  }

  /** A command's one result: the value for machines, the lines for people. */
  result(value: unknown, lines: () => readonly string[]): void {
    if (this.isJson) this.stdout.write(`${JSON.stringify(value, undefined, 2)}\n`);
    else for (const line of lines()) this.line(line);
  }

  /** One item of a stream. */
  event(value: unknown, line: () => string): void {
    this.stdout.write(this.isJson ? `${JSON.stringify(value)}\n` : `${line()}\n`);
  }

  /** A line of the result, for people. */
  line(text: string): void {
    if (!this.isJson) this.stdout.write(`${text}\n`);
  }

  /** Progress and summaries, for people. */
  note(text: string): void {
    if (!this.isJson) this.stderr.write(`${text}\n`);
  }

  /** Something that the user should know although the command goes on. */
  warn(text: string): void {
    this.stderr.write(`${this.styleError('yellow', 'warning:')} ${text}\n`);
  }

  get isTerminal(): boolean {
    return this.stderr.isTTY;
  }

  /** Colours only on a terminal and without NO_COLOR: `styleText` looks at the stream itself. */
  style(format: Format, text: string): string {
    return styleText(format, text, { stream: this.stdout });
  }

  styleError(format: Format, text: string): string {
    return styleText(format, text, { stream: this.stderr });
  }
}

/** Columns of equal width, the header dimmed. A column whose cells are all empty is left out. */
export function formatTable(
  output: Output,
  header: readonly string[],
  rows: readonly (readonly string[])[],
): string[] {
  const used = header.map((_, column) => rows.some((row) => (row[column] ?? '') !== ''));
  const shown = (cells: readonly string[]): string[] => cells.filter((_, column) => used[column] === true);
  const table = [shown(header), ...rows.map(shown)];
  const widths = shown(header).map((_, column) =>
    Math.max(...table.map((row) => widthOf(row[column] ?? ''))),
  );
  return table.map((row, index) => {
    const cells = row.map((cell, column) => cell + ' '.repeat((widths[column] ?? 0) - widthOf(cell)));
    const line = cells.join('  ').trimEnd();
    return index === 0 ? output.style('dim', line) : line;
  });
}

/** `name  value` lines; pairs without a value are left out. */
export function formatPairs(
  output: Output,
  pairs: readonly (readonly [string, string | undefined])[],
): string[] {
  const shown = pairs.filter((pair): pair is [string, string] => pair[1] !== undefined && pair[1] !== '');
  const width = Math.max(0, ...shown.map(([name]) => name.length));
  return shown.map(([name, value]) => {
    const indented = value.replaceAll('\n', `\n${' '.repeat(width + 2)}`);
    return `${output.style('dim', name.padEnd(width))}  ${indented}`;
  });
}

function widthOf(text: string): number {
  return stripVTControlCharacters(text).length;
}
