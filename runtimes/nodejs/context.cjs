'use strict';
/** The context that Function Compute hands to Node handlers, and its logger. */
const { format } = require('node:util');

const LEVELS = ['error', 'warn', 'info', 'verbose', 'debug'];

/** Prints `2022-04-01T10:04:19.024Z <request id> [level] message`. The level set holds for the whole instance. */
class Logger {
  static threshold = LEVELS.length - 1;

  #requestId;

  constructor(requestId) {
    this.#requestId = requestId;
  }

  // Bound, because user code passes them on (`const { info } = context.logger`), and made when they are asked for, which
  // most invocations never do.
  get error() {
    return this.#printer('error');
  }

  get warn() {
    return this.#printer('warn');
  }

  get info() {
    return this.#printer('info');
  }

  get log() {
    return this.#printer('verbose');
  }

  get debug() {
    return this.#printer('debug');
  }

  /** @param level one of error, warn, info, verbose, debug: what is less important is not printed */
  setLogLevel(level) {
    const threshold = LEVELS.indexOf(String(level).toLowerCase());
    if (threshold === -1) throw new TypeError(`the log level '${level}' is not one of ${LEVELS.join(', ')}`);
    Logger.threshold = threshold;
  }

  #printer(level) {
    return (...values) => {
      if (LEVELS.indexOf(level) > Logger.threshold) return;
      process.stdout.write(
        `${new Date().toISOString()} ${this.#requestId} [${level}] ${format(...values)}\n`,
      );
    };
  }
}

/**
 * @param specialization the payload of SPECIALIZE
 * @param head the head of the REQUEST; for initializer and hooks only `id` is known
 */
function createContext(specialization, head) {
  const { function: settings } = specialization;
  return {
    requestId: head.id,
    credentials: credentials(),
    function: {
      name: settings.name,
      handler: settings.handler,
      memory: settings.memory,
      timeout: settings.timeout,
    },
    service: {
      name: '',
      logProject: specialization.logProject,
      logStore: specialization.logStore,
      qualifier: head.qualifier ?? settings.qualifier,
      versionId: head.versionId ?? settings.versionId,
    },
    region: specialization.region,
    accountId: specialization.accountId,
    tracing: { openTracingSpanContext: '', openTracingSpanBaggages: {}, jaegerEndpoint: '' },
    retryCount: head.retry ?? 0,
    logger: new Logger(head.id),
  };
}

/** Read once: each look at `process.env` goes through the whole environment of the process. */
let granted = null;

/** Those of what the function was granted of the platform, or the user's own; empty where there are none. */
function credentials() {
  granted ??= {
    accessKeyId: process.env.ALIBABA_CLOUD_ACCESS_KEY_ID ?? '',
    accessKeySecret: process.env.ALIBABA_CLOUD_ACCESS_KEY_SECRET ?? '',
    securityToken: process.env.ALIBABA_CLOUD_SECURITY_TOKEN ?? '',
  };
  return { ...granted };
}

module.exports = { createContext };
