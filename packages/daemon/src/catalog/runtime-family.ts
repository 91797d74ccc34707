import { isRuntime, RUNTIMES } from '@thaw/protocol/fc/runtime.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { RuntimeFamily } from '../model/runnable.ts';

/** FC's other runtimes: known, so that the message can say that the name is right and the version is not. */
const NOT_IN_THIS_VERSION = ['go1', 'php7.2', 'dotnetcore3.1'];

/** What runs a runtime. Throws UNSUPPORTED_RUNTIME. */
export function runtimeFamily(runtime: string): RuntimeFamily {
  if (!isRuntime(runtime)) {
    const reason = NOT_IN_THIS_VERSION.includes(runtime)
      ? `runtime '${runtime}' is not supported by this version`
      : `runtime '${runtime}' does not exist`;
    throw new ThawError('UNSUPPORTED_RUNTIME', `${reason}; these are: ${RUNTIMES.join(', ')}`);
  }
  if (runtime === 'hot') return 'hot';
  if (runtime.startsWith('custom')) return 'custom';
  if (runtime.startsWith('java')) return 'java';
  return runtime.startsWith('nodejs') ? 'nodejs' : 'python3';
}
