import { ThawError } from '@thaw/protocol/thaw-error.ts';

/**
 * The expressions of Serverless Devs between `${` and `}`: a path (`vars.a.b`), a call (`env('X', 'default')`) or a
 * literal, calls nested as deep as anyone likes: `json(file('./a.json')).b`.
 */
export type Expression =
  | { readonly kind: 'literal'; readonly value: string | number | boolean | null }
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'member'; readonly object: Expression; readonly name: string }
  | { readonly kind: 'call'; readonly name: string; readonly args: readonly Expression[] };

const TOKEN =
  /\s*(?:(?<string>'[^']*'|"[^"]*")|(?<number>-?\d+(?:\.\d+)?(?![\w-]))|(?<name>[A-Za-z_$][\w$-]*)|(?<mark>[.()[\],]))/y;
const KEYWORDS: ReadonlyMap<string, boolean | null> = new Map([
  ['true', true],
  ['false', false],
  ['null', null],
]);
/** Deeper nesting than this is no expression that a person wrote. */
const DEPTH_MAX = 32;

interface Token {
  readonly kind: 'string' | 'number' | 'name' | 'mark';
  readonly text: string;
}

export function parseExpression(source: string): Expression {
  const reader = { source, tokens: tokenize(source), at: 0 };
  const expression = readExpression(reader, 0);
  if (reader.at < reader.tokens.length) throw unexpected(reader);
  return expression;
}

interface Reader {
  readonly source: string;
  readonly tokens: readonly Token[];
  at: number;
}

function tokenize(source: string): Token[] {
  const tokens: Token[] = [];
  const text = source.trimEnd();
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.length) {
    const groups = TOKEN.exec(text)?.groups;
    const kind = (['string', 'number', 'name', 'mark'] as const).find((name) => groups?.[name] !== undefined);
    const found = kind === undefined ? undefined : groups?.[kind];
    if (kind === undefined || found === undefined) throw invalid(source, 'it is not one of Serverless Devs');
    tokens.push({ kind, text: found });
  }
  return tokens;
}

function readExpression(reader: Reader, depth: number): Expression {
  if (depth > DEPTH_MAX) throw invalid(reader.source, 'it is nested too deep');
  let expression = readPrimary(reader, depth);
  for (;;) {
    const mark = reader.tokens[reader.at];
    if (isMark(mark, '.')) {
      const member = reader.tokens[reader.at + 1];
      if (member?.kind !== 'name' && member?.kind !== 'number') throw unexpected(reader);
      reader.at += 2;
      expression = { kind: 'member', object: expression, name: member.text };
    } else if (isMark(mark, '[')) {
      const member = reader.tokens[reader.at + 1];
      if (member?.kind !== 'string' && member?.kind !== 'number') throw unexpected(reader);
      if (!isMark(reader.tokens[reader.at + 2], ']')) throw unexpected(reader);
      reader.at += 3;
      expression = { kind: 'member', object: expression, name: unquote(member) };
    } else {
      return expression;
    }
  }
}

function readPrimary(reader: Reader, depth: number): Expression {
  const token = reader.tokens[reader.at];
  if (token === undefined || token.kind === 'mark') throw unexpected(reader);
  reader.at += 1;
  if (token.kind === 'string') return { kind: 'literal', value: unquote(token) };
  if (token.kind === 'number') return { kind: 'literal', value: Number(token.text) };
  const keyword = KEYWORDS.get(token.text);
  if (keyword !== undefined) return { kind: 'literal', value: keyword };
  if (!isMark(reader.tokens[reader.at], '(')) return { kind: 'name', name: token.text };
  return { kind: 'call', name: token.text, args: readArguments(reader, depth) };
}

function readArguments(reader: Reader, depth: number): Expression[] {
  reader.at += 1;
  const args: Expression[] = [];
  while (!isMark(reader.tokens[reader.at], ')')) {
    if (args.length > 0) {
      if (!isMark(reader.tokens[reader.at], ',')) throw unexpected(reader);
      reader.at += 1;
    }
    args.push(readExpression(reader, depth + 1));
  }
  reader.at += 1;
  return args;
}

function isMark(token: Token | undefined, text: string): boolean {
  return token?.kind === 'mark' && token.text === text;
}

function unquote(token: Token): string {
  return token.kind === 'string' ? token.text.slice(1, -1) : token.text;
}

function unexpected(reader: Reader): ThawError {
  const token = reader.tokens[reader.at];
  return invalid(
    reader.source,
    token === undefined ? 'it ends too early' : `'${token.text}' is not expected there`,
  );
}

function invalid(source: string, reason: string): ThawError {
  return new ThawError('INVALID_ARGUMENT', `cannot read the variable \${${source}}: ${reason}`);
}
