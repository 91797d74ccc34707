import { type Client, nativePath } from './client.ts';
import { readNdjson } from './ndjson.ts';
import type { LogLine } from './wire.ts';

export interface LogQuery {
  readonly requestId?: string | undefined;
  /** Milliseconds since 1970. */
  readonly sinceMs?: number | undefined;
  readonly limit?: number | undefined;
  readonly follow?: boolean;
  readonly signal?: AbortSignal;
}

/** The lines that a function printed, oldest first; with `follow` the stream goes on with new ones until aborted. */
export async function* readLogs(
  client: Client,
  functionName: string,
  { requestId, sinceMs, limit, follow, signal }: LogQuery,
): AsyncGenerator<LogLine, void, void> {
  const response = await client.open({
    method: 'GET',
    path: nativePath('functions', functionName, 'logs'),
    query: { requestId, sinceMs, limit, follow: follow === true ? 1 : undefined },
    ...(signal === undefined ? {} : { signal }),
  });
  yield* readNdjson<LogLine>(response);
}
