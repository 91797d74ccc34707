import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { DatabaseTrigger } from '../../model/trigger.ts';
import type { WatchedDirectories } from '../oss/watched-directories.ts';
import type { AttachedTrigger, TriggerSource, TriggerTarget } from '../trigger-source.ts';
import { databaseState } from './database-state.ts';
import { postgresDatabase, postgresPlace, withPostgres } from './postgres/postgres-address.ts';
import { PostgresFeed } from './postgres/postgres-feed.ts';
import { postgresProblem } from './postgres/postgres-problem.ts';
import { cleanPostgres } from './postgres/prepare-postgres.ts';
import { changesEvent, queuedChange, type RowChange } from './row-change.ts';
import { SqliteClient } from './sqlite/sqlite-client.ts';
import { SqliteFeed } from './sqlite/sqlite-feed.ts';
import { sqlitePath } from './sqlite/sqlite-place.ts';
import { sqliteProblem } from './sqlite/sqlite-problem.ts';
import { parseTableName } from './table-name.ts';

/** Row changes of PostgreSQL databases and SQLite files as events. Files must lie where the operator lets triggers watch. */
export class DatabaseSource implements TriggerSource<DatabaseTrigger> {
  readonly triggerType = 'database';
  readonly #directories: WatchedDirectories;

  constructor(directories: WatchedDirectories) {
    this.#directories = directories;
  }

  /** Throws INVALID_ARGUMENT. Whether the database is as the trigger needs it shows when it is attached. */
  check({ config }: DatabaseTrigger): void {
    for (const text of config.tables) {
      if (parseTableName(text, '') === undefined) throw invalid('tables', `'${text}' is no name of a table`);
    }
    if (isSqlite(config.url)) {
      this.#directories.require(sqlitePath(config.url));
      return;
    }
    if (!URL.canParse(config.url)) throw invalid('url', 'url is no address of a database');
    if (postgresDatabase(config.url) === '')
      throw invalid('url', 'url does not name a database after the host');
  }

  attach(trigger: DatabaseTrigger, target: TriggerTarget): AttachedTrigger {
    return isSqlite(trigger.config.url)
      ? new SqliteFeed(trigger, target, this.#directories)
      : new PostgresFeed(trigger, target);
  }

  async removed(value: unknown, signal: AbortSignal): Promise<void> {
    const state = databaseState(value);
    if (state?.kind === 'postgres') {
      const { url, name } = state;
      try {
        await withPostgres(url, signal, (client) => cleanPostgres(client, name));
      } catch (error) {
        throw postgresProblem(error, postgresPlace(url));
      }
    }
    if (state?.kind === 'sqlite') await uninstall(state.path, state.name);
  }

  /** An insert into the first table. */
  sampleEvent({ triggerName, config }: DatabaseTrigger): Buffer {
    const isFile = isSqlite(config.url);
    const origin = isFile
      ? ({ type: 'sqlite', database: sqlitePath(config.url) } as const)
      : ({ type: 'postgresql', database: postgresDatabase(config.url) } as const);
    const name = parseTableName(config.tables[0] ?? '', isFile ? 'main' : 'public');
    const [operation = 'insert'] = config.operations;
    const row = { id: 1, name: 'sample' };
    const change: RowChange = {
      id: isFile ? '00000000-0000-4000-8000-000000000000-1' : '0/16B3748-1',
      schema: name?.schema ?? '',
      table: name?.table ?? '',
      operation,
      key: { id: 1 },
      before: operation === 'insert' ? null : row,
      after: operation === 'delete' ? null : row,
      committedAt: '2026-01-01T00:00:00.000Z',
      transactionId: isFile ? null : '731',
      position: isFile ? '1' : '0/16B3748',
    };
    return changesEvent(origin, triggerName, [queuedChange(change, { isKeyChange: false, position: 0 })]);
  }
}

async function uninstall(path: string, name: string): Promise<void> {
  const client = new SqliteClient();
  try {
    await client.ask({ do: 'uninstall', path, name });
  } catch (error) {
    throw sqliteProblem(error, path);
  } finally {
    await client.close();
  }
}

function isSqlite(url: string): boolean {
  return url.startsWith('sqlite:');
}

function invalid(field: string, message: string): ThawError {
  return new ThawError('INVALID_ARGUMENT', `triggerConfig: ${message}`, { details: { field } });
}
