import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { apiPath, type Client } from '../api/client.ts';
import { requireInvocation } from '../api/find-invocation.ts';
import { type LogQuery, readLogs } from '../api/logs.ts';
import { listAll } from '../api/pages.ts';
import type { FunctionAnswer, LogLine } from '../api/wire.ts';
import type { Command } from '../command.ts';
import { parseCount, parseDurationMs } from '../option-values.ts';
import { formatLogLine } from '../output/log-line.ts';

interface Options {
  readonly follow?: boolean;
  readonly request?: string;
  readonly since?: number;
  readonly limit: number;
}

/** Each followed function takes a connection; more than this want names. */
const FOLLOWED_MAX = 50;

export const command: Command = {
  name: 'logs',
  summary: 'show what functions printed',
  details: 'Without a name: of all functions, or of the one that ran the request.',
  arguments: [{ name: 'function', summary: 'its name', optional: true }],
  options: [
    { flags: '-f, --follow', summary: 'go on with new lines until interrupted' },
    { flags: '--request <id>', summary: 'only of this invocation' },
    { flags: '--since <duration>', summary: 'only younger ones: 30s, 10m, 2h', parse: parseDurationMs },
    {
      flags: '--limit <count>',
      summary: 'at most so many lines, the newest',
      default: 200,
      parse: parseCount,
    },
  ],
  examples: [
    { run: 'thaw logs hello -f', does: 'follow hello' },
    { run: 'thaw logs --request 1-65a1f2c0-0123456789abcdef01234567', does: 'one invocation' },
    { run: 'thaw logs hello --since 10m --json', does: 'one JSON object per line' },
  ],
  run: async ({ output, connect, signal }, [name], { follow, request, since, limit }: Options) => {
    const client = await connect();
    const names = name === undefined ? await functionsToRead(client, request, signal) : [name];
    if (follow === true && names.length > FOLLOWED_MAX) {
      throw new ThawError(
        'INVALID_ARGUMENT',
        `there are ${names.length} functions, too many to follow at once`,
        {
          details: { advice: 'Name the one to follow.' },
        },
      );
    }
    const query: LogQuery = {
      requestId: request,
      sinceMs: since === undefined ? undefined : Date.now() - since,
      limit,
      follow: follow === true,
    };
    const show = (line: LogLine): void =>
      output.event(line, () => formatLogLine(output, line, names.length > 1));
    if (follow === true || names.length === 1) {
      await Promise.all(names.map((each) => readEach(client, each, query, show)));
      return;
    }
    const lines: LogLine[] = [];
    for (const each of names) await readEach(client, each, query, (line) => lines.push(line));
    const sorted = lines.toSorted((left, right) => timeOf(left) - timeOf(right));
    for (const line of sorted.slice(-limit)) show(line);
  },
};

async function readEach(
  client: Client,
  name: string,
  query: LogQuery,
  take: (line: LogLine) => void,
): Promise<void> {
  for await (const line of readLogs(client, name, query)) take(line);
}

async function functionsToRead(
  client: Client,
  request: string | undefined,
  signal: AbortSignal,
): Promise<string[]> {
  if (request !== undefined) {
    return [(await requireInvocation(client, request, signal)).functionName];
  }
  const functions = await listAll<FunctionAnswer>(client, apiPath('functions'), 'functions');
  return functions.map((each) => each.functionName);
}

function timeOf(line: LogLine): number {
  return new Date(line.time).getTime();
}
