'use strict';
/** Calls user code that answers by return value, promise or callback, and tells the outcome exactly once. */
const { canTakeParameter } = require('./parameters.cjs');

/**
 * A promise decides; otherwise the callback, or returned data. A function that has no parameter for the callback has
 * answered when it returns. A promise that resolves to nothing leaves the word to a callback that was called before.
 *
 * @param parameters what comes before the callback
 * @param done called with (isSuccess, value, isHandled); may be called before this returns
 */
function callUser(fn, parameters, done) {
  let isDone = false;
  let isPromise = false;
  let calledBack;
  const finish = (isSuccess, value, isHandled) => {
    if (isDone) return;
    isDone = true;
    done(isSuccess, value, isHandled);
  };
  const finishCallback = ([error, value]) => {
    if (error === null || error === undefined) finish(true, value, false);
    else finish(false, error, true);
  };
  const callback = (error, value) => {
    calledBack ??= [error, value];
    if (!isPromise) finishCallback(calledBack);
  };

  let returned;
  try {
    // A callback during the call waits for the return: the function may turn out to return a promise.
    isPromise = true;
    returned = fn(...parameters, callback);
    isPromise = typeof returned?.then === 'function';
  } catch (error) {
    return finish(false, error, false);
  }
  if (isPromise) {
    returned.then(
      (value) =>
        value === undefined && calledBack !== undefined
          ? finishCallback(calledBack)
          : finish(true, value, false),
      (error) => finish(false, error, false),
    );
  } else if (calledBack !== undefined) finishCallback(calledBack);
  else if (isData(returned) || !canCallBack(fn, parameters.length)) finish(true, returned, false);
}

/**
 * Whether a function that could still call back means what it returned. `(event, context, callback) => setTimeout(…)`
 * returns a timer, `=> waiting.push(callback)` a number: neither is an answer.
 */
function isData(returned) {
  if (typeof returned === 'string') return true;
  if (typeof returned !== 'object' || returned === null) return false;
  if (Array.isArray(returned) || ArrayBuffer.isView(returned) || returned instanceof ArrayBuffer) return true;
  const prototype = Object.getPrototypeOf(returned);
  return prototype === Object.prototype || prototype === null;
}

const canCallBackByFunction = new WeakMap();

function canCallBack(fn, index) {
  let can = canCallBackByFunction.get(fn);
  if (can === undefined) {
    can = canTakeParameter(fn, index);
    canCallBackByFunction.set(fn, can);
  }
  return can;
}

module.exports = { callUser };
