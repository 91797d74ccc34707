/** Says whether a value of an event fits; the value is undefined where the event has none. */
export type Matcher = (value: unknown) => boolean;

/** Deeper patterns, and longer lists, are a mistake or an attack. */
const DEPTH_MAX = 16;
const LIST_MAX = 200;

/**
 * EventBridge's event patterns (Amazon EventBridge, "Event patterns"; Alibaba Cloud's have the same form): an object
 * names fields, each with a list of values or matchers of which one must fit; all fields must. Where the event holds a
 * list, one of its items must fit. Throws an Error that names the part that is wrong.
 */
export function compilePattern(pattern: unknown, path = 'pattern', depth = 0): Matcher {
  if (depth > DEPTH_MAX) throw new Error(`${path} is nested too deeply`);
  if (!isObject(pattern)) throw new Error(`${path} must be an object`);
  const fields = Object.entries(pattern).map(([name, part]): Matcher => {
    const at = `${path}.${name}`;
    if (name === '$or')
      return anyOf(list(part, at).map((each, index) => compilePattern(each, `${at}.${index}`, depth + 1)));
    const matches = Array.isArray(part) ? compileList(part, at) : compilePattern(part, at, depth + 1);
    return (value) => matches(fieldOf(value, name));
  });
  return (value) => fields.every((matches) => matches(value));
}

function compileList(items: readonly unknown[], at: string): Matcher {
  const matchers = list(items, at).map((item, index) => compileItem(item, `${at}.${index}`));
  const matches = anyOf(matchers.map(({ matcher }) => matcher));
  // Whether a field is there is asked of the field itself, not of the items of a list in it.
  const asksForField = anyOf(matchers.filter(({ isOfField }) => isOfField).map(({ matcher }) => matcher));
  return (value) => (Array.isArray(value) ? asksForField(value) || value.some(matches) : matches(value));
}

interface Item {
  readonly matcher: Matcher;
  readonly isOfField: boolean;
}

function compileItem(item: unknown, at: string): Item {
  if (!isObject(item)) return { matcher: equalTo(item, at), isOfField: false };
  const [[kind, argument] = ['', undefined], ...more] = Object.entries(item);
  if (more.length > 0) throw new Error(`${at} must hold one matcher, not ${more.length + 1}`);
  if (kind === 'exists') {
    if (typeof argument !== 'boolean') throw new Error(`${at}.exists must be true or false`);
    return { matcher: (value) => (value !== undefined) === argument, isOfField: true };
  }
  return { matcher: compileMatcher(kind, argument, `${at}.${kind}`), isOfField: false };
}

function compileMatcher(kind: string, argument: unknown, at: string): Matcher {
  switch (kind) {
    case 'prefix':
      return textMatcher(argument, at, (text, wanted) => text.startsWith(wanted));
    case 'suffix':
      return textMatcher(argument, at, (text, wanted) => text.endsWith(wanted));
    case 'equals-ignore-case':
      return textMatcher(argument, at, (text, wanted) => text.toLowerCase() === wanted.toLowerCase());
    case 'wildcard': {
      const wanted = wildcard(requireText(argument, at));
      return (value) => typeof value === 'string' && wanted(value);
    }
    case 'anything-but':
      return anythingBut(argument, at);
    case 'numeric':
      return numeric(argument, at);
    default:
      throw new Error(
        `${at}: there is no matcher '${kind}'; there are prefix, suffix, equals-ignore-case, wildcard, anything-but, numeric, exists`,
      );
  }
}

/** `{"prefix": "a"}` and `{"prefix": {"equals-ignore-case": "a"}}`. */
function textMatcher(
  argument: unknown,
  at: string,
  fits: (text: string, wanted: string) => boolean,
): Matcher {
  if (isObject(argument)) {
    const wanted = requireText(argument['equals-ignore-case'], `${at}.equals-ignore-case`).toLowerCase();
    return (value) => typeof value === 'string' && fits(value.toLowerCase(), wanted);
  }
  const wanted = requireText(argument, at);
  return (value) => typeof value === 'string' && fits(value, wanted);
}

/** A value, a list of values, or a matcher of texts. A field that is not there is nothing, and so fits nothing. */
function anythingBut(argument: unknown, at: string): Matcher {
  const unwanted = isObject(argument)
    ? compileItem(argument, at).matcher
    : anyOf((Array.isArray(argument) ? list(argument, at) : [argument]).map((each) => equalTo(each, at)));
  return (value) => value !== undefined && !unwanted(value);
}

const COMPARISONS: Readonly<Record<string, (value: number, wanted: number) => boolean>> = {
  '=': (value, wanted) => value === wanted,
  '<': (value, wanted) => value < wanted,
  '<=': (value, wanted) => value <= wanted,
  '>': (value, wanted) => value > wanted,
  '>=': (value, wanted) => value >= wanted,
};

/** `[">=", 10]`, `[">", 0, "<", 5]`. */
function numeric(argument: unknown, at: string): Matcher {
  const parts = list(argument, at);
  const conditions: Matcher[] = [];
  for (let index = 0; index < parts.length; index += 2) {
    const compare = COMPARISONS[String(parts[index])];
    const wanted = parts[index + 1];
    if (compare === undefined || typeof wanted !== 'number') {
      throw new Error(
        `${at} must be a list such as [">", 0, "<=", 5] of ${Object.keys(COMPARISONS).join(' ')}`,
      );
    }
    conditions.push((value) => typeof value === 'number' && compare(value, wanted));
  }
  return (value) => conditions.every((holds) => holds(value));
}

/** `*` stands for any characters. Runs in time that grows with the product of both lengths, never more. */
function wildcard(pattern: string): (text: string) => boolean {
  const parts = pattern.split('*');
  const [first = '', ...rest] = parts;
  const last = rest.pop();
  if (last === undefined) return (text) => text === pattern;
  return (text) => {
    if (text.length < first.length + last.length || !text.startsWith(first) || !text.endsWith(last))
      return false;
    let from = first.length;
    for (const part of rest) {
      const found = text.indexOf(part, from);
      if (found === -1) return false;
      from = found + part.length;
    }
    return from <= text.length - last.length;
  };
}

function equalTo(wanted: unknown, at: string): Matcher {
  if (
    wanted !== null &&
    typeof wanted !== 'string' &&
    typeof wanted !== 'number' &&
    typeof wanted !== 'boolean'
  ) {
    throw new Error(`${at} must be a text, a number, true, false, null or a matcher`);
  }
  return (value) => value === wanted;
}

function anyOf(matchers: readonly Matcher[]): Matcher {
  return (value) => matchers.some((matches) => matches(value));
}

function list(value: unknown, at: string): readonly unknown[] {
  if (Array.isArray(value) && value.length > 0 && value.length <= LIST_MAX) return value;
  throw new Error(`${at} must be a list of 1 to ${LIST_MAX} items`);
}

function requireText(value: unknown, at: string): string {
  if (typeof value === 'string') return value;
  throw new Error(`${at} must be a text`);
}

/** Of the event's own fields: every object has a `constructor`. */
export function fieldOf(value: unknown, name: string): unknown {
  return isObject(value) && Object.hasOwn(value, name) ? value[name] : undefined;
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
