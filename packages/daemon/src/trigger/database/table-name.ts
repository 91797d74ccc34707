export interface TableName {
  readonly schema: string;
  readonly table: string;
}

const PART = String.raw`"(?:[^"]|"")+"|[^".]+`;
const NAME = new RegExp(`^(?:(${PART})\\.)?(${PART})$`, 'u');

/** `orders`, `shop.orders` or `"a.b"."c d"`, letter by letter. Undefined where the text is no name. */
export function parseTableName(text: string, defaultSchema: string): TableName | undefined {
  const match = NAME.exec(text);
  if (match === null) return undefined;
  return { schema: unquoted(match[1] ?? defaultSchema), table: unquoted(match[2] ?? '') };
}

/** The name as SQL takes it. */
export function tableSql({ schema, table }: TableName): string {
  return `${identifier(schema)}.${identifier(table)}`;
}

export function identifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

function unquoted(part: string): string {
  return part.startsWith('"') ? part.slice(1, -1).replaceAll('""', '"') : part;
}
