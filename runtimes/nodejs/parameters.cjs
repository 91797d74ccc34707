'use strict';
/**
 * The parameter names of a function, read from its source text. Two questions need them: whether a handler is an
 * HTTP handler (docs/RUNTIMES.md, section 3), and whether a function can call back at all.
 */

/**
 * @returns the list of parameters' names in order, `''` for a pattern and `'...'` for a rest parameter; undefined when
 *   the text is not there (native and bound functions)
 */
function parameterNames(fn) {
  const source = withoutComments(Function.prototype.toString.call(fn));
  if (/\{\s*\[native code\]\s*\}\s*$/.test(source)) return undefined;
  const single = /^\s*(?:async\b\s*)?([\p{ID_Start}$_][\p{ID_Continue}$]*)\s*=>/u.exec(source);
  if (single !== null) return [single[1]];
  const open = parametersStart(source);
  return open === -1 ? undefined : splitParameters(source, open).map(parameterName);
}

/** Blanks comments, and the contents of strings, so that what is left can be read by its brackets. */
function withoutComments(source) {
  return source.replace(
    /\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:\\[\s\S]|[^'\\\n])*'|"(?:\\[\s\S]|[^"\\\n])*"|`(?:\\[\s\S]|[^`\\])*`/g,
    (match) => (match[0] === '/' ? ' ' : '0'),
  );
}

/** The bracket that opens the parameters; brackets of a computed method name stand before it. */
function parametersStart(source) {
  let depth = 0;
  for (let i = 0; i < source.length; i += 1) {
    if (source[i] === '[') depth += 1;
    else if (source[i] === ']') depth -= 1;
    else if (source[i] === '(' && depth === 0) return i;
  }
  return -1;
}

function splitParameters(source, open) {
  const parameters = [];
  let depth = 0;
  let start = open + 1;
  for (let i = open; i < source.length; i += 1) {
    const character = source[i];
    if (character === '(' || character === '[' || character === '{') depth += 1;
    else if (character === ')' || character === ']' || character === '}') depth -= 1;
    if ((character === ',' && depth === 1) || depth === 0) {
      const parameter = source.slice(start, i).trim();
      if (parameter !== '') parameters.push(parameter);
      start = i + 1;
    }
    if (depth === 0) break;
  }
  return parameters;
}

function parameterName(parameter) {
  if (parameter.startsWith('...')) return '...';
  return /^[\p{ID_Start}$_][\p{ID_Continue}$]*/u.exec(parameter)?.[0] ?? '';
}

/** Whether the function takes a parameter at this index in any way; a function that cannot be read may. */
function canTakeParameter(fn, index) {
  const names = parameterNames(fn);
  if (names === undefined || names.length > index || names.includes('...')) return true;
  return /\barguments\b/.test(Function.prototype.toString.call(fn));
}

const REQUEST_NAMES = new Set(['req', 'request']);
const RESPONSE_NAMES = new Set(['res', 'resp', 'response']);

function isFunction(value) {
  return typeof value === 'function';
}

/** An Express- or Connect-like app: it takes `next` as its third parameter, never a context. */
function isApp(handler) {
  return isFunction(handler.handle) && (isFunction(handler.use) || isFunction(handler.listen));
}

function isHttpHandler(handler) {
  if (isApp(handler)) return true;
  const [first = '', second = ''] = (parameterNames(handler) ?? []).map((name) => name.replace(/^_/, ''));
  return REQUEST_NAMES.has(first) && RESPONSE_NAMES.has(second);
}

/** Whether the third argument is Connect's `next`: then nothing may be passed for it. */
function takesNext(handler) {
  return isApp(handler) || parameterNames(handler)?.[2]?.replace(/^_/, '') === 'next';
}

module.exports = { parameterNames, canTakeParameter, isHttpHandler, takesNext };
