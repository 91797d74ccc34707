import { getCompileCacheDir } from 'node:module';
import { dirname } from 'node:path';

/**
 * For a process of the platform's own code: it keeps what it compiles where this process does, which more than halves the
 * time that it takes to start. Node names the directory with one for its version below it.
 */
export function childEnvironment(): NodeJS.ProcessEnv {
  const directory = getCompileCacheDir();
  return directory === undefined ? process.env : { ...process.env, NODE_COMPILE_CACHE: dirname(directory) };
}
