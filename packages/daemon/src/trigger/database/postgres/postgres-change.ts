import type { Pgoutput } from 'pg-logical-replication';
import type { Row, RowChange } from '../row-change.ts';
import { tableSql } from '../table-name.ts';

export type RowMessage = Pgoutput.MessageInsert | Pgoutput.MessageUpdate | Pgoutput.MessageDelete;

/** The transaction that a change is part of. */
export interface Transaction {
  /** Where its commit stands in the log, which names it among all. */
  readonly commit: string;
  readonly id: string;
  readonly committedAt: string;
}

export interface PostgresChange {
  readonly change: RowChange;
  readonly isKeyChange: boolean;
}

/** Microseconds since 1970, as the library reads them. */
export function isoOfMicroseconds(microseconds: bigint): string {
  const seconds = new Date(Number(microseconds / 1000n)).toISOString().slice(0, -4);
  return `${seconds}${String(microseconds % 1_000_000n).padStart(6, '0')}Z`;
}

/**
 * `number` counts the changes of the transaction from 1; it names the change together with the commit, since several
 * rows may stand in one record of the log.
 */
export function postgresChange(
  message: RowMessage,
  transaction: Transaction,
  number: number,
  primaryKeys: ReadonlyMap<string, readonly string[]>,
): PostgresChange {
  const { relation } = message;
  const { schema, name: table } = relation;
  const columns =
    relation.replicaIdentity === 'full'
      ? (primaryKeys.get(tableSql({ schema, table })) ?? [])
      : relation.keyColumns;
  const before = message.tag === 'insert' ? null : oldRow(message);
  const after = message.tag === 'delete' ? null : { ...message.new };
  const newKey = keyOf(after, columns) ?? keyOf(before, columns);
  const oldKey = keyOf(before, columns);
  const unchanged = after === null ? [] : Object.keys(after).filter((column) => after[column] === undefined);
  for (const column of unchanged) delete after?.[column];
  return {
    change: {
      id: `${transaction.commit}-${number}`,
      schema,
      table,
      operation: message.tag,
      key: newKey,
      before,
      after,
      ...(unchanged.length === 0 ? {} : { unchanged }),
      committedAt: transaction.committedAt,
      transactionId: transaction.id,
      position: transaction.commit,
    },
    isKeyChange:
      message.tag === 'update' && oldKey !== null && JSON.stringify(oldKey) !== JSON.stringify(newKey),
  };
}

/** All of the old row where the table's replica identity is full, its key where the key changed or the row is gone. */
function oldRow(message: Pgoutput.MessageUpdate | Pgoutput.MessageDelete): Row | null {
  const row = message.old ?? message.key;
  return row === null ? null : { ...row };
}

function keyOf(row: Row | null, columns: readonly string[]): Row | null {
  if (row === null || columns.length === 0) return null;
  const entries = columns.map((column): [string, unknown] => [column, row[column]]);
  return entries.some(([, value]) => value === undefined) ? null : Object.fromEntries(entries);
}
