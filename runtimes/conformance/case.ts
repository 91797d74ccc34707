/* oxlint-disable typescript/no-unsafe-type-assertion -- a case that is not of its shape fails by its own test. */
/** The shape of the cases (README.md), and how what they say about values is read. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Language } from './interpreters.ts';
import type { LogPiece } from './link-driver.ts';

export type Bytes =
  | { readonly utf8: string }
  | { readonly hex: string }
  | { readonly json: unknown }
  | { readonly repeat: Bytes; readonly times: number };

export type Text =
  | string
  | { readonly matches: string }
  | { readonly repeat: string; readonly times: number };

export interface Logs {
  readonly stdout?: Text;
  readonly stderr?: Text;
  readonly any?: Text;
  readonly frames?: readonly string[];
}

export interface ExpectedError {
  readonly errorType?: string;
  readonly errorMessage?: string;
  readonly handled?: boolean;
  readonly fatal?: boolean;
  readonly stackContains?: string;
}

export interface Expected {
  readonly body?: Bytes;
  readonly bodyJson?: unknown;
  readonly status?: number;
  readonly headers?: readonly Text[];
  readonly error?: ExpectedError;
  readonly ended?: boolean;
  readonly logs?: Logs;
}

export interface HttpCall {
  readonly url: string;
  readonly body?: Bytes;
  readonly [key: string]: unknown;
}

export interface Step {
  readonly event?: Bytes;
  readonly http?: HttpCall;
  readonly head?: Readonly<Record<string, unknown>>;
  readonly send?: string;
  readonly more?: boolean;
  readonly data?: string;
  readonly body?: Bytes;
  readonly end?: boolean;
  readonly cancel?: string;
  readonly awaitHead?: string;
  readonly awaitBody?: string;
  readonly atLeast?: boolean;
  readonly awaitLog?: string;
  readonly contains?: string;
  readonly answer?: string;
  readonly hook?: string;
  readonly kill?: NodeJS.Signals;
  readonly exit?: number | string;
  readonly answerLogs?: string;
  readonly logs?: Logs;
  readonly instanceLogs?: Logs;
  readonly expect?: Expected;
}

export interface Case {
  readonly name: string;
  readonly languages?: readonly Language[];
  readonly handler: string;
  readonly initializer?: string;
  readonly preFreeze?: string;
  readonly preStop?: string;
  readonly postThaw?: string;
  readonly handlerType?: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly concurrency?: number;
  /** The code is loaded, and only then and when told so the start goes on. */
  readonly hold?: boolean;
  readonly ready?: 'event' | 'http';
  readonly startFailed?: { readonly phase: string; readonly error: ExpectedError };
  readonly startLogs?: Logs;
  readonly steps?: readonly Step[];
}

export function casesFor(language: Language): Case[] {
  const directory = join(import.meta.dirname, 'cases');
  return readdirSync(directory)
    .filter((file) => file.endsWith('.json'))
    .flatMap((file) => JSON.parse(readFileSync(join(directory, file), 'utf8')) as Case[])
    .filter(({ languages }) => languages === undefined || languages.includes(language))
    .map((value) => forLanguage(value, language) as Case)
    .map((one) => (language === 'java' ? inJava(one) : one));
}

/** In Java `a/b.do_it` is the method `doIt` of the class `a.b.Functions`. */
function inJava(one: Case): Case {
  const references = ['handler', 'initializer', 'preFreeze', 'preStop', 'postThaw'] as const;
  const renamed = references.flatMap((key) => {
    const reference = one[key];
    return reference === undefined ? [] : [[key, javaReference(reference)]];
  });
  return { ...one, ...(Object.fromEntries(renamed) as Partial<Case>) };
}

function javaReference(reference: string): string {
  if (reference.includes('::')) return reference;
  const end = reference.lastIndexOf('.');
  const method = reference.slice(end + 1).replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
  return `${reference.slice(0, end).replaceAll('/', '.')}.Functions::${method}`;
}

/** Replaces every value that differs by language by that of the language. */
function forLanguage(value: unknown, language: Language): unknown {
  if (Array.isArray(value)) return value.map((item) => forLanguage(item, language));
  if (typeof value !== 'object' || value === null) return value;
  if ('nodejs' in value && 'python3' in value) {
    assert.ok(language in value, `${JSON.stringify(value)} has nothing for ${language}`);
    return (value as Record<string, unknown>)[language];
  }
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, forLanguage(item, language)]));
}

export function bytesOf(bytes: Bytes): Buffer {
  if ('utf8' in bytes) return Buffer.from(bytes.utf8, 'utf8');
  if ('hex' in bytes) return Buffer.from(bytes.hex, 'hex');
  if ('json' in bytes) return Buffer.from(JSON.stringify(bytes.json), 'utf8');
  const once = bytesOf(bytes.repeat);
  return Buffer.alloc(once.length * bytes.times, once);
}

export function assertText(actual: string, expected: Text, what: string): void {
  if (typeof expected === 'string') assert.equal(actual, expected, what);
  else if ('repeat' in expected) {
    // Megabytes of difference help nobody.
    assert.ok(actual === expected.repeat.repeat(expected.times), `${what}: ${actual.length} characters`);
  } else assert.match(actual, new RegExp(expected.matches, 'u'), what);
}

function textOf(pieces: readonly LogPiece[]): string {
  return pieces.map(({ text }) => text).join('');
}

export function assertLogs(actual: readonly LogPiece[], expected: Logs): void {
  if (expected.frames !== undefined) {
    assert.deepEqual(
      actual.map(({ text }) => text),
      expected.frames,
      'LOG frames',
    );
  }
  if (expected.any !== undefined) {
    assertText(textOf(actual), expected.any, 'stdout and stderr');
    return;
  }
  for (const name of ['stdout', 'stderr'] as const) {
    assertText(textOf(actual.filter(({ source }) => source === name)), expected[name] ?? '', name);
  }
}
