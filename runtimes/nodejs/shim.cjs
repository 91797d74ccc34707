'use strict';
/**
 * The Node runtime of Thaw: runs beside the user's code, loads the handler and serves the daemon over the link.
 * docs/RUNTIMES.md is the contract; its section numbers are meant where comments name sections.
 *
 *   connect ─▶ generic ─SPECIALIZE▶ loading ─▶ initializing ─▶ ready
 *                                     └▶ held ─PROCEED┘ where SPECIALIZE asks for it
 *
 * Only `ready` takes REQUEST and HOOK. A failed start ends the process with 1.
 */
const { writeSync } = require('node:fs');
const {
  TYPE,
  ProtocolError,
  decodeCredit,
  decodeData,
  decodeHeadAndBody,
  decodeJson,
  encodeEmpty,
  encodeJson,
} = require('./frame.cjs');
const { EventInvocation } = require('./event-invocation.cjs');
const { errorText, functionError } = require('./function-error.cjs');
const { Invocations } = require('./invocations.cjs');
const { Link } = require('./link.cjs');
const { LogCapture } = require('./log-capture.cjs');
const { Runnable } = require('./runnable.cjs');

const PROTOCOL = 1;

let state = 'generic';
let runnable = null;
let HttpInvocation = null;

const linkPath = process.env.THAW_LINK;
delete process.env.THAW_LINK;
delete process.env.THAW_STEM;
if (linkPath === undefined) throw new Error('THAW_LINK is not set: this program is started by thawd');

const link = new Link(linkPath, { connect: sayHello, frame: onFrame, data: onData, close: onClose });
const invocations = new Invocations(link);
const logs = new LogCapture(link, () => invocations.current());
invocations.logs = logs;

process.on('exit', () => {
  link.isExiting = true;
  for (const scope of invocations.all()) logs.end(scope);
  logs.endInstance();
  link.flushBlocking();
});
process.on('uncaughtException', onUncaught);

function sayHello() {
  const { pid, versions } = process;
  link.send(
    encodeJson(TYPE.HELLO, 0, { protocol: PROTOCOL, runtime: 'nodejs', version: versions.node, pid }),
  );
}

function onFrame(type, stream, payload) {
  switch (type) {
    case TYPE.SPECIALIZE:
      expectState('generic', 'SPECIALIZE');
      return void start(decodeJson(payload));
    case TYPE.PROCEED:
      expectState('held', 'PROCEED');
      return goOn();
    case TYPE.REQUEST:
      expectState('ready', 'REQUEST');
      return onRequest(stream, decodeHeadAndBody(payload));
    case TYPE.HOOK:
      expectState('ready', 'HOOK');
      return onHook(stream, decodeJson(payload).hook);
    case TYPE.DATA: {
      const { isEnd, body } = decodeData(payload);
      return onData(stream, body, isEnd);
    }
    case TYPE.CREDIT: {
      const bytes = decodeCredit(payload);
      return invocations.get(stream)?.answer.grant(bytes);
    }
    case TYPE.CANCEL: {
      const scope = invocations.get(stream);
      scope?.answer.discard();
      return scope?.invocation?.onCancel();
    }
    default:
      throw new ProtocolError(`frame type ${type} never comes from the daemon`);
  }
}

function onData(stream, body, isEnd) {
  invocations.get(stream)?.invocation?.onBody(body, isEnd);
}

function expectState(expected, frame) {
  if (state !== expected) throw new ProtocolError(`${frame} came in state ${state}`);
}

async function start(specialization) {
  state = 'loading';
  try {
    runnable = await Runnable.load(specialization);
    if (runnable.isHttp) ({ HttpInvocation } = require('./http-invocation.cjs'));
    if (specialization.concurrency > 1) invocations.followEach();
  } catch (error) {
    return failStart('load', error, false);
  }
  if (specialization.hold !== true) return goOn();
  state = 'held';
  logs.endInstance();
  link.send(encodeEmpty(TYPE.LOADED, 0));
}

function goOn() {
  if (runnable.initializer === undefined) return becomeReady();
  state = 'initializing';
  link.send(encodeEmpty(TYPE.INITIALIZING, 0));
  link.flush();
  runnable.initialize((isSuccess, value, isHandled) => {
    if (isSuccess) becomeReady();
    else failStart('initializer', value, isHandled);
  });
}

function becomeReady() {
  state = 'ready';
  link.send(encodeJson(TYPE.READY, 0, { handler: runnable.isHttp ? 'http' : 'event' }));
}

function failStart(phase, error, isHandled) {
  logs.endInstance();
  link.send(encodeJson(TYPE.START_FAILED, 0, { phase, error: functionError(error, isHandled) }));
  process.exit(1);
}

function onRequest(stream, { isEnd, head, body }) {
  const isHttp = head.kind === 'http';
  if (isHttp !== runnable.isHttp) throw new ProtocolError(`a ${head.kind} request does not fit the handler`);
  const scope = invocations.open(stream);
  scope.invocation = isHttp
    ? new HttpInvocation(scope, runnable, head)
    : new EventInvocation(scope, runnable, head);
  scope.invocation.onBody(body, isEnd);
}

function onHook(stream, hook) {
  const scope = invocations.open(stream);
  const enter = (fn) => scope.enter(fn);
  void runnable.runHook(hook, enter, (isSuccess, value, isHandled) => {
    endHook(scope, isSuccess ? {} : { error: functionError(value, isHandled) });
  });
}

function endHook(scope, outcome) {
  if (!scope.isOpen) return;
  scope.ending();
  link.send(encodeJson(TYPE.HOOK_END, scope.stream, outcome));
  scope.ended();
}

/** Section 7: every open stream is told, then the process ends. Code that handles such errors itself is let be. */
function onUncaught(error) {
  if (process.listenerCount('uncaughtException') > 1) return;
  const reported = { ...functionError(error, false), fatal: true };
  if (state === 'loading' || state === 'held' || state === 'initializing') {
    return failStart(state === 'initializing' ? 'initializer' : 'load', error, false);
  }
  const scopes = invocations.all();
  if (scopes.length === 0) process.stderr.write(errorText(error));
  for (const scope of scopes) {
    if (scope.invocation !== null) scope.answer.fail(reported);
    else endHook(scope, { error: reported });
  }
  process.exit(1);
}

/** The instance is over: whoever could have an answer is gone. */
function onClose(error) {
  if (error === undefined) process.exit(0);
  // Not by the captured stderr, which writes to the link.
  writeSync(2, `thaw: the link to the daemon broke: ${error.message}\n`);
  process.exit(1);
}
