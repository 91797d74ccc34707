import { fieldOf, isObject, type Matcher } from './event-pattern.ts';

const DEPTH_MAX = 16;

/**
 * Filters of CloudEvents' Subscriptions API (version 1.0, section 3.2.4.1) that look at attributes: `exact`, `prefix`
 * and `suffix` with names and texts, and `all`, `any` and `not` of further filters. An event must pass every one.
 * Throws an Error that names the part that is wrong.
 */
export function compileFilters(filters: readonly unknown[]): Matcher {
  const compiled = filters.map((filter, index) => compileFilter(filter, `filters.${index}`, 0));
  return (event) => compiled.every((passes) => passes(event));
}

function compileFilter(filter: unknown, path: string, depth: number): Matcher {
  if (depth > DEPTH_MAX) throw new Error(`${path} is nested too deeply`);
  const [[dialect, argument] = ['', undefined], ...more] = isObject(filter) ? Object.entries(filter) : [];
  if (more.length > 0) throw new Error(`${path} must hold one dialect, not ${more.length + 1}`);
  const at = `${path}.${dialect}`;
  switch (dialect) {
    case 'exact':
      return attributes(argument, at, (value, wanted) => value === wanted);
    case 'prefix':
      return attributes(argument, at, (value, wanted) => value.startsWith(wanted));
    case 'suffix':
      return attributes(argument, at, (value, wanted) => value.endsWith(wanted));
    case 'all':
    case 'any': {
      if (!Array.isArray(argument) || argument.length === 0)
        throw new Error(`${at} must be a list of filters`);
      const inner = argument.map((each, index) => compileFilter(each, `${at}.${index}`, depth + 1));
      return dialect === 'all'
        ? (event) => inner.every((passes) => passes(event))
        : (event) => inner.some((passes) => passes(event));
    }
    case 'not': {
      const inner = compileFilter(argument, at, depth + 1);
      return (event) => !inner(event);
    }
    default:
      throw new Error(`${path} must be one of exact, prefix, suffix, all, any, not`);
  }
}

function attributes(
  argument: unknown,
  at: string,
  fits: (value: string, wanted: string) => boolean,
): Matcher {
  const entries = isObject(argument) ? Object.entries(argument) : [];
  if (entries.length === 0) throw new Error(`${at} must be an object of attribute names and texts`);
  const conditions = entries.map(([name, wanted]): Matcher => {
    if (typeof wanted !== 'string' || wanted === '') throw new Error(`${at}.${name} must be a text`);
    return (event) => {
      const value = fieldOf(event, name);
      // Attributes that are numbers or booleans are compared as they are written (CloudEvents, section 3.1).
      const isScalar = typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
      return isScalar && fits(String(value), wanted);
    };
  });
  return (event) => conditions.every((holds) => holds(event));
}
