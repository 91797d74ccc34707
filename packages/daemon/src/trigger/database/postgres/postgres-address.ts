import { Client, type ClientConfig } from 'pg';
import { atMost } from '../pause.ts';
import { TEXT_SETTINGS } from './postgres-types.ts';

const CONNECT_MS_MAX = 15_000;
/** Nobody but a slow disk or a lock keeps one of our statements so long. */
const STATEMENT_MS_MAX = 60_000;

/** A server that does not answer any more does not say goodbye either; its connection ends by its own time limits. */
export const GOODBYE_MS_MAX = 2_000;

/** How the server is told to wait for us, whatever its own setting: far longer than the pause between our reports. */
const SERVER_WAITS = '-c wal_sender_timeout=60s';

/** Where the database is, without what must not be shown. */
export function postgresPlace(url: string): string {
  const { hostname, port, pathname, searchParams } = new URL(url);
  // A directory of sockets, where the server listens on no port.
  const host = searchParams.get('host') ?? (hostname === '' ? 'localhost' : hostname);
  return `${host}:${port === '' ? '5432' : port}/${decodeURIComponent(pathname.slice(1))}`;
}

export function postgresDatabase(url: string): string {
  return decodeURIComponent(new URL(url).pathname.slice(1));
}

/** How to connect for ordinary statements. */
export function postgresConfig(url: string): ClientConfig {
  const { address, options } = parts(url);
  return {
    connectionString: address,
    connectionTimeoutMillis: CONNECT_MS_MAX,
    query_timeout: STATEMENT_MS_MAX,
    keepAlive: true,
    application_name: 'thaw',
    options,
  };
}

/** How to connect for the stream of changes. */
export function replicationConfig(url: string): ClientConfig & { replication: 'database' } {
  const { address, options } = parts(url);
  return {
    connectionString: address,
    connectionTimeoutMillis: CONNECT_MS_MAX,
    keepAlive: true,
    application_name: 'thaw',
    options: `${options} ${TEXT_SETTINGS} ${SERVER_WAITS}`.trim(),
    replication: 'database',
  };
}

/** Runs statements on a connection of their own, which is closed when the work is done or the signal fires. */
export async function withPostgres<T>(
  url: string,
  signal: AbortSignal,
  work: (client: Client) => Promise<T>,
): Promise<T> {
  const client = new Client(postgresConfig(url));
  // A connection that breaks between two statements says so here; the next statement fails by it.
  client.on('error', () => undefined);
  // A client that is ended while it connects never says how the connecting went, so nobody waits for that.
  const aborted = Promise.withResolvers<never>();
  const abort = (): void => aborted.reject(new Error('the trigger was detached'));
  signal.addEventListener('abort', abort, { once: true });
  const working = signal.aborted ? aborted.promise : client.connect().then(() => work(client));
  if (signal.aborted) abort();
  try {
    return await Promise.race([working, aborted.promise]);
  } finally {
    working.catch(() => undefined);
    signal.removeEventListener('abort', abort);
    await atMost(GOODBYE_MS_MAX, client.end());
  }
}

/** Settings in the address would win over ours. */
function parts(url: string): { readonly address: string; readonly options: string } {
  const parsed = new URL(url);
  const options = parsed.searchParams.get('options') ?? '';
  parsed.searchParams.delete('options');
  return { address: parsed.href, options };
}
