import type { RowValue } from '../row-change.ts';
import { parseArrayText } from './array-text.ts';

/** A row of `pg_type`, as far as it decides how a value is read. */
export interface PostgresType {
  readonly oid: number;
  /** Type of the elements of an array whose text is written with commas, else 0. */
  readonly elementOid: number;
  /** The type behind a domain, else 0. */
  readonly baseOid: number;
}

export const TYPES_QUERY = `
  SELECT oid::int8::text AS oid,
         CASE WHEN typcategory = 'A' AND typlen = -1 AND typdelim = ',' AND oid NOT IN (22, 30)
              THEN typelem ELSE 0 END::int8::text AS element,
         CASE WHEN typtype = 'd' THEN typbasetype ELSE 0 END::int8::text AS base
    FROM pg_type WHERE typcategory = 'A' OR typtype = 'd'`;

/** Settings of a session under which values have the text that is read here. */
export const TEXT_SETTINGS = '-c TimeZone=UTC -c DateStyle=ISO -c IntervalStyle=iso_8601 -c bytea_output=hex';

const BOOL = 16;
const BYTEA = 17;
const INT2 = 21;
const INT4 = 23;
const OID = 26;
const JSON_OID = 114;
const FLOAT4 = 700;
const FLOAT8 = 701;
const TIMESTAMP = 1114;
const TIMESTAMPTZ = 1184;
const JSONB = 3802;

declare global {
  interface JSON {
    /** ECMAScript 2026: a number's own digits, put into a JSON text as they are. */
    rawJSON(text: string): object;
  }
}

type Parse = (text: string) => RowValue;

/**
 * How values are read from PostgreSQL's text into JSON, without losing anything: integers of 32 bits and floats are
 * numbers, wider integers and `numeric` are texts, `bytea` is base64, times are ISO 8601, `json` is itself, arrays are
 * arrays; everything else is the text that the database writes.
 */
export class PostgresTypes {
  readonly #types: ReadonlyMap<number, PostgresType>;

  constructor(rows: readonly PostgresType[]) {
    this.#types = new Map(rows.map((row) => [row.oid, row]));
  }

  parserOf(oid: number): Parse {
    const type = this.#types.get(oid);
    if (type !== undefined && type.baseOid !== 0) return this.parserOf(type.baseOid);
    if (type !== undefined && type.elementOid !== 0) {
      const element = this.parserOf(type.elementOid);
      return (text) => parseArrayText(text, element);
    }
    return PARSERS.get(oid) ?? ((text) => text);
  }
}

const PARSERS: ReadonlyMap<number, Parse> = new Map<number, Parse>([
  [BOOL, (text) => text === 't'],
  [BYTEA, (text) => Buffer.from(text.slice(2), 'hex').toString('base64')],
  [INT2, Number],
  [INT4, Number],
  [OID, Number],
  [FLOAT4, float],
  [FLOAT8, float],
  [JSON_OID, json],
  [JSONB, json],
  [TIMESTAMP, (text) => isoTime(text, '')],
  [TIMESTAMPTZ, (text) => isoTime(text, 'Z')],
]);

/** `NaN` and the infinities are no JSON numbers and stay texts. */
function float(text: string): RowValue {
  const value = Number(text);
  return Number.isFinite(value) ? value : text;
}

/** `2026-11-21 00:45:18.123456+00` in ISO 8601, microseconds kept. `infinity` and years BC stay as they are. */
function isoTime(text: string, zone: 'Z' | ''): string {
  const match = /^(\d{4,}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d+)?)(?:\+00)?$/u.exec(text);
  return match === null ? text : `${match[1]}T${match[2]}${zone}`;
}

/** Numbers that a double does not hold keep their digits. */
function json(text: string): RowValue {
  return JSON.parse(text, (_key, value: unknown, context?: { readonly source?: string }) =>
    typeof value === 'number' && context?.source !== undefined && String(value) !== context.source
      ? JSON.rawJSON(context.source)
      : value,
  );
}
