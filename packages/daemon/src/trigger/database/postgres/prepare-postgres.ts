import type { DatabaseTriggerConfig } from '@thaw/protocol/fc/triggers/database.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Client } from 'pg';
import { slotLost } from './postgres-problem.ts';
import { PostgresTypes, TYPES_QUERY } from './postgres-types.ts';
import { identifier, parseTableName, tableSql, type TableName } from '../table-name.ts';

const DEFAULT_SCHEMA = 'public';
/** Making a slot waits for every transaction that is open; after so long it is tried anew. */
const SLOT_MS_MAX = 3_600_000;

/** What a stream of changes begins with. */
export interface PreparedPostgres {
  readonly types: PostgresTypes;
  readonly tables: FollowedTables;
  /** Where the slot stands: nothing before it is sent again. */
  readonly confirmed: string;
}

export interface FollowedTables {
  /** Columns of the primary key by `"schema"."table"`, in the key's order. */
  readonly keys: ReadonlyMap<string, readonly string[]>;
  /** Why a table is not followed. */
  readonly problem: ThawError | undefined;
}

export interface Preparing {
  readonly client: Client;
  readonly name: string;
  readonly place: string;
  readonly config: DatabaseTriggerConfig;
}

/**
 * Sees to the publication and the slot, which are there already but the first time. `isFirst` false: the trigger had a
 * slot, and one that is gone took changes with it.
 */
export async function preparePostgres(preparing: Preparing, isFirst: boolean): Promise<PreparedPostgres> {
  const { client, name, place } = preparing;
  const level = await valueOf(client, 'SHOW wal_level');
  if (level !== 'logical') {
    throw new ThawError(
      'SOURCE_REFUSED',
      `database ${place} does not write what logical replication needs: set wal_level = logical and restart the ` +
        `server (it is ${level})`,
      { details: { database: place } },
    );
  }
  const tables = await followTables(preparing);
  const types = await client.query<{ oid: string; element: string; base: string }>(TYPES_QUERY);
  const confirmed = await slotPosition(client, name, place, isFirst);
  return {
    tables,
    confirmed,
    types: new PostgresTypes(
      types.rows.map(({ oid, element, base }) => ({
        oid: Number(oid),
        elementOid: Number(element),
        baseOid: Number(base),
      })),
    ),
  };
}

interface TableRow {
  readonly persistence: string;
  readonly identity: string;
  readonly key: readonly string[];
}

const TABLE_QUERY = `
  SELECT c.relpersistence AS persistence, c.relreplident AS identity,
         COALESCE((SELECT array_agg(a.attname::text ORDER BY array_position(i.indkey::int2[], a.attnum))
                     FROM pg_index i JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey)
                    WHERE i.indrelid = c.oid AND i.indisprimary), '{}') AS key
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p')`;

/**
 * Makes the publication hold the tables that can be followed. A table that cannot is a problem and no reason to leave
 * the others.
 */
export async function followTables({ client, name, place, config }: Preparing): Promise<FollowedTables> {
  const keys = new Map<string, readonly string[]>();
  const wrong: string[] = [];
  const followed: TableName[] = [];
  const needsIdentity = config.operations.some((operation) => operation !== 'insert');
  for (const text of config.tables) {
    const table = parseTableName(text, DEFAULT_SCHEMA);
    if (table === undefined) {
      wrong.push(`'${text}' is no name of a table`);
      continue;
    }
    const sql = tableSql(table);
    const [row] = (await client.query<TableRow>(TABLE_QUERY, [table.schema, table.table])).rows;
    const why = whyNot(row, sql, needsIdentity);
    if (why !== undefined) {
      wrong.push(why);
      continue;
    }
    keys.set(sql, row?.key ?? []);
    followed.push(table);
  }
  await publish(client, name, place, followed, config.operations);
  return { keys, problem: wrong.length === 0 ? undefined : tablesProblem(place, wrong) };
}

/** A table without identity must not be published with its updates: the database would refuse them to its users. */
function whyNot(row: TableRow | undefined, sql: string, needsIdentity: boolean): string | undefined {
  if (row === undefined) return `there is no table ${sql}`;
  if (row.persistence !== 'p')
    return `table ${sql} is unlogged or temporary and its changes are written nowhere`;
  const hasIdentity =
    row.identity === 'f' || row.identity === 'i' || (row.identity === 'd' && row.key.length > 0);
  if (!needsIdentity || hasIdentity) return undefined;
  return (
    `table ${sql} has no primary key, so updates and deletes cannot be told apart: add one, or ` +
    `ALTER TABLE ${sql} REPLICA IDENTITY FULL, or follow its inserts alone`
  );
}

function tablesProblem(place: string, wrong: readonly string[]): ThawError {
  return new ThawError('SOURCE_REFUSED', `in database ${place}: ${wrong.join('; ')}`, {
    details: { database: place },
  });
}

async function publish(
  client: Client,
  name: string,
  place: string,
  tables: readonly TableName[],
  operations: readonly string[],
): Promise<void> {
  const list = [...new Set(tables.map((table) => tableSql(table)))].toSorted();
  const settings = `publish = '${operations.toSorted().join(', ')}', publish_via_partition_root = true`;
  const [existing] = (
    await client.query<{ operations: string; tables: readonly string[] }>(
      `SELECT concat_ws(', ', CASE WHEN pubdelete THEN 'delete' END, CASE WHEN pubinsert THEN 'insert' END,
                              CASE WHEN pubupdate THEN 'update' END) AS operations,
              COALESCE((SELECT array_agg(quote_ident(n.nspname) || '.' || quote_ident(c.relname))
                          FROM pg_publication_rel r JOIN pg_class c ON c.oid = r.prrelid
                          JOIN pg_namespace n ON n.oid = c.relnamespace
                         WHERE r.prpubid = p.oid), '{}')::text[] AS tables
         FROM pg_publication p WHERE pubname = $1`,
      [name],
    )
  ).rows;
  const quoted = identifier(name);
  const forTables = list.length === 0 ? '' : `FOR TABLE ${list.join(', ')} `;
  const create = `CREATE PUBLICATION ${quoted} ${forTables}WITH (${settings})`;
  try {
    if (existing === undefined) {
      await client.query(create);
      return;
    }
    const has = existing.tables.map((each) => normalName(each)).toSorted();
    if (existing.operations !== operations.toSorted().join(', ')) {
      await client.query(`ALTER PUBLICATION ${quoted} SET (${settings})`);
    }
    if (has.join() === list.join()) return;
    if (list.length > 0) await client.query(`ALTER PUBLICATION ${quoted} SET TABLE ${list.join(', ')}`);
    else await client.query(`ALTER PUBLICATION ${quoted} DROP TABLE ${has.join(', ')}`);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === '42501')) throw error;
    throw new ThawError(
      'SOURCE_REFUSED',
      `database ${place} does not let this user publish its tables; an owner of the tables can do it: ` +
        `DROP PUBLICATION IF EXISTS ${quoted}; ${create};`,
      { cause: error, details: { database: place } },
    );
  }
}

/** `quote_ident` quotes only what must be; here all names are quoted. */
function normalName(text: string): string {
  const name = parseTableName(text, DEFAULT_SCHEMA);
  return name === undefined ? text : tableSql(name);
}

interface SlotRow {
  readonly confirmed: string | null;
  readonly database: string | null;
  readonly current: string;
  readonly plugin: string | null;
  readonly wal: string | null;
}

/** Gives where the slot stands, and makes it the first time. Waits for transactions that are open when it is made. */
async function slotPosition(client: Client, name: string, place: string, isFirst: boolean): Promise<string> {
  const [slot] = (
    await client.query<SlotRow>(
      `SELECT confirmed_flush_lsn::text AS confirmed, database, current_database() AS current, plugin,
              wal_status AS wal
         FROM pg_replication_slots WHERE slot_name = $1`,
      [name],
    )
  ).rows;
  if (slot === undefined) {
    if (!isFirst) throw slotLost(place, `replication slot ${name} is gone`);
    const create = `SELECT lsn::text AS value FROM pg_create_logical_replication_slot('${name}', 'pgoutput')`;
    return valueOf(client, create, SLOT_MS_MAX);
  }
  if (slot.database !== slot.current || slot.plugin !== 'pgoutput') {
    throw new ThawError(
      'SOURCE_REFUSED',
      `replication slot ${name} of ${place} belongs to database ${slot.database ?? 'none'}`,
      { details: { database: place } },
    );
  }
  if (slot.wal === 'lost' || slot.confirmed === null) {
    throw slotLost(place, `replication slot ${name} was invalidated`);
  }
  return slot.confirmed;
}

/** Takes slot and publication away, whoever still reads from the slot. */
export async function cleanPostgres(client: Client, name: string): Promise<void> {
  const slots = 'FROM pg_replication_slots WHERE slot_name = $1';
  await client.query(`SELECT pg_terminate_backend(active_pid) ${slots} AND active_pid IS NOT NULL`, [name]);
  await client.query(`SELECT pg_drop_replication_slot(slot_name) ${slots}`, [name]);
  await client.query(`DROP PUBLICATION IF EXISTS ${identifier(name)}`);
}

async function valueOf(client: Client, text: string, waitMsMax?: number): Promise<string> {
  const bound = waitMsMax === undefined ? {} : { query_timeout: waitMsMax };
  const result = await client.query<string[]>({ text, rowMode: 'array', ...bound });
  return String(result.rows[0]?.[0]);
}
