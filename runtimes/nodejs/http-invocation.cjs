'use strict';
/* oxlint-disable no-underscore-dangle -- Node names so what a subclass replaces and what it has no other way to. */
/** One HTTP request: makes its three objects, calls the handler or app, and ends them as Node's server would. */
const { ServerResponse } = require('node:http');
const { createContext } = require('./context.cjs');
const { Credit } = require('./credit.cjs');
const { functionError, errorText } = require('./function-error.cjs');
const { HttpRequest, abortRequest, pushBody } = require('./http-request.cjs');
const { HttpResponse } = require('./http-response.cjs');
const { HttpSocket } = require('./http-socket.cjs');

/** Node's mark that a writer was told to wait; only its own server resets it, and a later pipe would wait for ever. */
const NEED_DRAIN = Object.getOwnPropertySymbols(new ServerResponse({ method: 'GET' })).find(
  (symbol) => symbol.description === 'kNeedDrain',
);

class HttpInvocation {
  /** @param scope the invocation's `enter`, `answer` and `link`; see invocations.cjs */
  constructor(scope, runnable, head) {
    this.scope = scope;
    this.runnable = runnable;
    this.head = head;
    this.isCalled = false;
    this.isHandlerPending = false;
    this.isCancelled = false;
    this.socket = new HttpSocket(scope.answer, head, (error) => this.onSocketDestroyed(error));
    this.request = new HttpRequest(this.socket, head, new Credit(scope.link, scope.stream));
    this.response = new HttpResponse(this.request, scope.answer);
    this.response.assignSocket(this.socket);
    // What is logged on `finish`, as access logs are, belongs to this request.
    scope.answer.endsAfterCallbacks = true;
    this.response.on('prefinish', () => scope.answer.end());
    this.socket.on('drain', () => this.onDrain());
  }

  onBody(bytes, isEnd) {
    this.scope.enter(pushBody, this.request, bytes, isEnd);
    if (this.isCalled) return;
    this.isCalled = true;
    this.scope.enter(() => this.call());
  }

  call() {
    const { handler, takesNext, specialization } = this.runnable;
    try {
      const returned = takesNext
        ? handler(this.request, this.response)
        : handler(this.request, this.response, createContext(specialization, this.head));
      if (typeof returned?.then !== 'function') return;
      this.isHandlerPending = true;
      returned.then(
        () => this.onHandlerDone(),
        (error) => {
          this.fail(error);
          this.onHandlerDone();
        },
      );
    } catch (error) {
      this.fail(error);
    }
  }

  onHandlerDone() {
    this.isHandlerPending = false;
    if (this.isCancelled && this.socket.destroyed) this.endCancelled();
  }

  fail(error) {
    const { answer } = this.scope;
    // The caller has the whole answer already: what is left is to tell the log.
    if (answer.isEnded || this.response.writableEnded) {
      process.stderr.write(errorText(error));
      return;
    }
    answer.fail(functionError(error, false));
    this.socket.destroy();
  }

  onDrain() {
    const { response } = this;
    if (response.finished) return;
    if (NEED_DRAIN !== undefined) {
      if (!response[NEED_DRAIN]) return;
      response[NEED_DRAIN] = false;
    }
    this.scope.enter(() => response.emit('drain'));
  }

  /** After the last frame: the response closes, and what nobody read of the request is let go. */
  onEnded() {
    const { request, response, socket } = this;
    if (socket.destroyed) return;
    process.nextTick(() => {
      if (!request.complete) abortRequest(request);
      else if (!request._consumed) request.resume();
      if (socket.destroyed) return;
      response.detachSocket(socket);
      // `finish` is emitted in this turn or the next; `close` comes after it.
      setImmediate(closeResponse, response);
    });
  }

  /** User code destroyed the response or the connection, or `onCancel` did. */
  onSocketDestroyed(error) {
    const { answer } = this.scope;
    if (this.isCancelled || answer.isEnded || answer.isEnding) return;
    answer.fail(functionError(error ?? new Error('the response was destroyed before it ended'), false));
  }

  /**
   * Code that listens for the caller going away, or still reads the request, is told as by Node's server, and has
   * finished when it has heard it (and its promise, if it returned one, is settled). Other code works on and ends its
   * response as ever; that is when it has finished.
   */
  onCancel() {
    const { request, response, socket, scope } = this;
    this.isCancelled = true;
    scope.answer.discard();
    if (scope.answer.isEnded) return;
    if (request.complete && !isCloseAwaited(request, response, socket)) return;
    scope.enter(() => {
      abortRequest(request);
      socket.destroy();
    });
    // The events above are emitted in the next ticks.
    setImmediate(() => {
      if (!this.isHandlerPending) this.endCancelled();
    });
  }

  endCancelled() {
    this.scope.answer.fail(functionError(new Error('the caller went away'), false));
  }
}

/** Listeners besides the one by which the response itself follows its socket. */
function isCloseAwaited(request, response, socket) {
  const listeners =
    request.listenerCount('aborted') +
    request.listenerCount('close') +
    response.listenerCount('close') +
    socket.listenerCount('close');
  return listeners > 1;
}

function closeResponse(response) {
  if (response._closed) return;
  response.destroyed = true;
  response._closed = true;
  response.emit('close');
}

module.exports = { HttpInvocation };
