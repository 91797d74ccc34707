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
const DEPTH_MAX = 16;

/** Every text in a value with its `${…}` replaced. Keys whose value is null are dropped, as Serverless Devs does. */
export function substitute(value: unknown, scope: Scope): unknown {
  return substituteAt(value, { ...scope, depth: 0 });
}

/** How many variables we are inside of. */
type DeepScope = Scope & { readonly depth: number };

function substituteAt(value: unknown, scope: DeepScope): unknown {
  if (typeof value === 'string') return substituteText(value, scope);
  if (Array.isArray(value)) return value.map((item) => substituteAt(item, scope));
  if (typeof value !== 'object' || value === null) return value;
  const result: Record<string, unknown> = {};
  for (const [name, item] of Object.entries(value)) {
    const replaced = substituteAt(item, scope);
    if (replaced !== undefined && replaced !== null) result[name] = replaced;
  }
  return result;
}

/** A text that is one variable and nothing else becomes the variable's value, with its type; else text is put in. */
function substituteText(text: string, scope: DeepScope): unknown {
  if (!text.includes('${')) return text;
  if (scope.depth > DEPTH_MAX) {
    throw new ThawError('INVALID_ARGUMENT', `the variables in '${text}' refer to each other in a circle`);
  }
  const deeper = { ...scope, depth: scope.depth + 1 };
  const whole = /^\$\{([^{}]*)\}$/.exec(text)?.[1];
  if (whole !== undefined) return substituteAt(evaluateSource(whole, deeper), deeper);
  const replaced = text.replaceAll(VARIABLE, (_, source: string) =>
    asText(source, evaluateSource(source, deeper)),
  );
  return replaced === text ? text : substituteText(replaced, deeper);
}

function asText(source: string, value: unknown): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  throw new ThawError('INVALID_ARGUMENT', `\${${source}} is not text, so it cannot be part of a longer text`);
}

function evaluateSource(source: string, scope: DeepScope): unknown {
  const value = evaluate(parseExpression(source), scope);
  if (value === undefined || value === null) {
    throw new ThawError('INVALID_ARGUMENT', `the variable \${${source}} has no value`);
  }
  return value;
}

function evaluate(expression: Expression, scope: DeepScope): unknown {
  if (expression.kind === 'literal') return expression.value;
  if (expression.kind === 'name') return scope.names[expression.name];
  if (expression.kind === 'member')
    return memberOf(evaluate(expression.object, scope), expression.name, scope);
  const args = expression.args.map((arg) => evaluate(arg, scope));
  return call(expression.name, args, scope);
}

function memberOf(object: unknown, name: string, scope: DeepScope): unknown {
  if (typeof object !== 'object' || object === null || !Object.hasOwn(object, name)) return undefined;
  const value: unknown = Reflect.get(object, name);
  return typeof value === 'string' ? substituteText(value, scope) : value;
}

function call(name: string, args: readonly unknown[], scope: Scope): unknown {
  const [first, second] = args;
  const argument = typeof first === 'string' ? first : JSON.stringify(first ?? '');
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
        details: {
          advice: 'Supported are env, file, path, json, yaml, str, vars.*, resources.*.props.* and this.*.',
        },
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
    throw new ThawError('INVALID_ARGUMENT', `reading ${path}, which the file names in \${file(…)}`, {
      cause: error,
    });
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
