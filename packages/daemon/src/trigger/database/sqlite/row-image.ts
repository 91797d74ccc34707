import type { Row, RowValue } from '../row-change.ts';
import { identifier } from '../table-name.ts';

/**
 * How a row is written down by SQLite itself, in a trigger that may run in any program's copy of SQLite: as JSON, of old
 * functions only. A list of `[[column, kind, value, …], …]`, each of some columns, since a function takes 127 arguments
 * at most. Values are texts but for null: older versions would round floats and have no JSON for blobs; the kind, which
 * goes before each, says what the text is.
 */
const COLUMNS_PER_CHUNK = 40;

/** SQL that writes these columns of the row `NEW` or `OLD`. */
export function rowImageSql(row: 'NEW' | 'OLD', columns: readonly string[]): string {
  const chunks: string[] = [];
  for (let at = 0; at < columns.length; at += COLUMNS_PER_CHUNK) {
    const some = columns.slice(at, at + COLUMNS_PER_CHUNK);
    const parts = some.map((column) => {
      const value = `${row}.${identifier(column)}`;
      return `${literal(column)}, typeof(${value}), ${valueSql(value)}`;
    });
    chunks.push(`json_array(${parts.join(', ')})`);
  }
  return `json_array(${chunks.join(', ')})`;
}

function valueSql(value: string): string {
  return (
    `CASE typeof(${value}) WHEN 'blob' THEN hex(${value}) WHEN 'integer' THEN CAST(${value} AS TEXT) ` +
    `WHEN 'real' THEN printf('%!.17g', ${value}) ELSE ${value} END`
  );
}

function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/**
 * The row that the SQL wrote: integers that a double holds are numbers and wider ones texts, reals are numbers (the
 * infinities texts), blobs are base64, everything else is as it was.
 */
export function readRowImage(text: string | null): Row | null {
  if (text === null) return null;
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written by rowImageSql alone
  const chunks = JSON.parse(text) as (string | null)[][];
  const row: [string, RowValue][] = [];
  for (const chunk of chunks) {
    for (let at = 0; at < chunk.length; at += 3) {
      const [column, kind, value] = chunk.slice(at, at + 3);
      if (typeof column !== 'string' || typeof kind !== 'string')
        throw new Error('a row is not as it was written');
      row.push([column, value === null || value === undefined ? null : readValue(kind, value)]);
    }
  }
  return Object.fromEntries(row);
}

function readValue(kind: string, text: string): RowValue {
  switch (kind) {
    case 'integer': {
      const number = Number(text);
      return Number.isSafeInteger(number) ? number : text;
    }
    case 'real': {
      const number = Number(text);
      return Number.isFinite(number) ? number : text;
    }
    case 'blob':
      return Buffer.from(text, 'hex').toString('base64');
    default:
      return text;
  }
}
