import { existsSync, readFileSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { parse as parseYaml } from 'yaml';
import { type Expression, parseExpression } from './expression.ts';

/** What an expression can refer to. */
export interface Scope {
  /** Directory of the file: `file()` and `path()` are relative to it. */
  readonly directory: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** `vars`, `resources`, `this`. */
  readonly names: Readonly<Record<string, unknown>>;
}

const VARIABLE = /\$\{([\w\W]*?)\}/g;
/** A variable's value may hold variables itself; a circle of them ends here. */
const ROUNDS_MAX = 8;

/** Every text in a value with its `${…}` replaced. Keys whose value is null are dropped, as Serverless Devs does. */
export function substitute(value: unknown, scope: Scope): unknown {
  if (typeof value === 'string') return substituteText(value, scope);
  if (Array.isArray(value)) return value.map((item) => substitute(item, scope));
  if (typeof value !== 'object' || value === null) return value;
  const result: Record<string, unknown> = {};
  for (const [name, item] of Object.entries(value)) {
    const replaced = substitute(item, scope);
    if (replaced !== undefined && replaced !== null) result[name] = replaced;
  }
  return result;
}

/** A text that is one variable and nothing else becomes the variable's value, with its type; else text is put in. */
function substituteText(text: string, scope: Scope): unknown {
  let current = text;
  for (let round = 0; round < ROUNDS_MAX; round += 1) {
    const whole = /^\$\{([^{}]*)\}$/.exec(current)?.[1];
    const value: unknown =
      whole === undefined
        ? current.replaceAll(VARIABLE, (_, source: string) => asText(source, evaluateSource(source, scope)))
        : evaluateSource(whole, scope);
    if (typeof value !== 'string') return substitute(value, scope);
    if (value === current || !value.includes('${')) return value;
    current = value;
  }
  throw new ThawError('INVALID_ARGUMENT', `the variables in '${text}' refer to each other in a circle`);
}

function asText(source: string, value: unknown): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  throw new ThawError('INVALID_ARGUMENT', `\${${source}} is not text, so it cannot be part of a longer text`);
}

function evaluateSource(source: string, scope: Scope): unknown {
  const value = evaluate(parseExpression(source), scope);
  if (value === undefined || value === null) {
    throw new ThawError('INVALID_ARGUMENT', `the variable \${${source}} has no value`);
  }
  return value;
}

function evaluate(expression: Expression, scope: Scope): unknown {
  switch (expression.kind) {
    case 'literal':
      return expression.value;
    case 'name':
      return scope.names[expression.name];
    case 'member':
      return memberOf(evaluate(expression.object, scope), expression.name, scope);
    case 'call':
      return call(
        expression.name,
        expression.args.map((arg) => evaluate(arg, scope)),
        scope,
      );
  }
}

function memberOf(object: unknown, name: string, scope: Scope): unknown {
  if (typeof object !== 'object' || object === null || !Object.hasOwn(object, name)) return undefined;
  const value: unknown = Reflect.get(object, name);
  return typeof value === 'string' && value.includes('${') ? substituteText(value, scope) : value;
}

function call(name: string, args: readonly unknown[], scope: Scope): unknown {
  const [first, second] = args;
  const argument = typeof first === 'string' ? first : String(first ?? '');
  switch (name) {
    case 'env':
      // Serverless Devs takes an empty variable for an unset one.
      if (scope.environment[argument]) return scope.environment[argument];
      if (second !== undefined && second !== null) return second;
      throw new ThawError('INVALID_ARGUMENT', `the environment variable ${argument} is not set`, {
        details: { advice: `Set ${argument}, or write \${env('${argument}', 'a default')}.` },
      });
    case 'file':
      return readText(inDirectory(argument, scope));
    case 'path':
      return requirePath(inDirectory(argument, scope));
    case 'json':
      return parseText(argument, 'json', JSON.parse);
    case 'yaml':
      return parseText(argument, 'yaml', parseYaml);
    case 'str':
      return argument;
    default:
      throw new ThawError('INVALID_ARGUMENT', `\${${name}(…)} is not supported`, {
        details: { advice: 'Supported are env, file, path, json, yaml, str, vars.*, resources.*.props.* and this.*.' },
      });
  }
}

function inDirectory(path: string, scope: Scope): string {
  return isAbsolute(path) ? path : join(scope.directory, path);
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new ThawError('INVALID_ARGUMENT', `reading ${path}, which the file names in \${file(…)}`, { cause: error });
  }
}

function requirePath(path: string): string {
  if (existsSync(path)) return path;
  throw new ThawError('INVALID_ARGUMENT', `there is no ${path}, which the file names in \${path(…)}`);
}

function parseText(text: string, format: string, parse: (text: string) => unknown): unknown {
  try {
    return parse(text);
  } catch (error) {
    throw new ThawError('INVALID_ARGUMENT', `reading the text in \${${format}(…)}`, { cause: error });
  }
}
