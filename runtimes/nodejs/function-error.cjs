'use strict';
/** What user code threw or called back with, in the shape that the daemon hands to the caller. */

const SHIM_DIRECTORY = __dirname;

/** Together these fit a frame, whatever JSON makes of the characters. */
const TYPE_CHARS_MAX = 256;
const MESSAGE_CHARS_MAX = 64 * 1024;
const STACK_LINES_MAX = 64;
const STACK_LINE_CHARS_MAX = 1024;

/** A mistake in the function's configuration or package that the shim found itself. */
class LoadError extends Error {
  constructor(name, message) {
    super(message);
    this.name = name;
  }
}

function functionError(thrown, isHandled) {
  try {
    return {
      errorType: errorType(thrown).slice(0, TYPE_CHARS_MAX),
      errorMessage: errorMessage(thrown).slice(0, MESSAGE_CHARS_MAX),
      stackTrace: stackTrace(thrown),
      handled: isHandled,
    };
  } catch {
    // Getters and proxies of user code may throw as well; the failure itself must still be told.
    return {
      errorType: 'Error',
      errorMessage: 'the error could not be read',
      stackTrace: [],
      handled: isHandled,
    };
  }
}

function isObject(value) {
  return value !== null && (typeof value === 'object' || typeof value === 'function');
}

/** A class that only extends Error names itself by its constructor; a `name` that was set on purpose wins. */
function errorType(thrown) {
  if (!isObject(thrown)) return typeof thrown;
  const { name } = thrown;
  if (typeof name === 'string' && name !== '' && name !== 'Error') return name;
  const constructorName = thrown.constructor?.name;
  return typeof constructorName === 'string' && constructorName !== '' ? constructorName : 'Error';
}

function errorMessage(thrown) {
  if (!isObject(thrown)) return String(thrown);
  if (typeof thrown.message === 'string') return thrown.message;
  return JSON.stringify(thrown) ?? String(thrown);
}

/** The lines of `stack` without those of the shim: its frames say nothing about the user's code. */
function stackTrace(thrown) {
  if (!isObject(thrown) || typeof thrown.stack !== 'string') return [];
  if (thrown instanceof LoadError) return [];
  return thrown.stack
    .split('\n')
    .filter((line) => !line.includes(SHIM_DIRECTORY))
    .slice(0, STACK_LINES_MAX)
    .map((line) => line.slice(0, STACK_LINE_CHARS_MAX));
}

/** The text for the log, as Node would print it. */
function errorText(thrown) {
  const stack = isObject(thrown) && typeof thrown.stack === 'string' ? thrown.stack : undefined;
  return `${stack ?? `${errorType(thrown)}: ${errorMessage(thrown)}`}\n`;
}

module.exports = { LoadError, functionError, errorText };
