'use strict';
/**
 * The open invocations and hooks of the instance by their stream, and which of them runs at this moment: with one at a
 * time that is known; with several Node's AsyncLocalStorage follows each through its callbacks.
 */
const { Answer } = require('./answer.cjs');
const { ProtocolError } = require('./frame.cjs');

/** One open stream: who writes logs, and where its answer goes. */
class Scope {
  constructor(link, stream, invocations) {
    this.link = link;
    this.stream = stream;
    /** In the list of the open ones. */
    this.place = -1;
    this.isOpen = true;
    this.lines = null;
    this.invocations = invocations;
    this.invocation = null;
    this.answer = new Answer(link, stream, this);
  }

  /**
   * Runs user code as belonging to this invocation. What its event listeners throw is an uncaught exception, as in any
   * Node program, and must not unwind the reading of frames.
   */
  enter(fn, ...parameters) {
    try {
      return this.invocations.enter(this, fn, parameters);
    } catch (error) {
      return process.nextTick(() => {
        throw error;
      });
    }
  }

  /** Called right before the frame that ends the stream. */
  ending() {
    this.invocations.logs.end(this);
    this.isOpen = false;
  }

  /** Called after the frame that ends the stream. */
  ended() {
    this.invocations.close(this);
    this.invocation?.onEnded?.();
  }
}

class Invocations {
  constructor(link) {
    this.link = link;
    this.logs = null;
    this.storage = null;
    /**
     * In no order. A Map under so much coming and going leaves dead tables behind, and those that have grown old keep what
     * stood in them alive: every invocation would grow old, and the collections of the old stop the function.
     */
    this.scopes = [];
    this.latest = undefined;
  }

  /** Must be called before the first invocation when several may run at once. */
  followEach() {
    const { AsyncLocalStorage } = require('node:async_hooks');
    this.storage = new AsyncLocalStorage();
  }

  open(stream) {
    if (stream === 0 || this.get(stream) !== undefined) {
      throw new ProtocolError(`stream ${stream} cannot be opened`);
    }
    const scope = new Scope(this.link, stream, this);
    scope.place = this.scopes.length;
    this.scopes.push(scope);
    this.latest = scope;
    return scope;
  }

  close(scope) {
    if (scope.place === -1) return;
    const last = this.scopes.pop();
    if (last !== scope) {
      this.scopes[scope.place] = last;
      last.place = scope.place;
    }
    scope.place = -1;
    if (this.latest === scope) this.latest = undefined;
  }

  get(stream) {
    const { scopes } = this;
    for (let at = scopes.length - 1; at >= 0; at -= 1) {
      if (scopes[at].stream === stream) return scopes[at];
    }
    return undefined;
  }

  all() {
    return [...this.scopes];
  }

  current() {
    return this.storage === null ? this.latest : this.storage.getStore();
  }

  enter(scope, fn, parameters) {
    if (this.storage === null) return fn(...parameters);
    return this.storage.run(scope, fn, ...parameters);
  }
}

module.exports = { Invocations };
