import { watch } from 'chokidar';
import { ignorePath, readIgnoreRules } from '../package/list-code.ts';

/** Editors write a file in several steps, and save several files at once: one notice for all of that. */
const SETTLE_MS = 20;

/** Calls back after something below `directory` has changed, but for what its `.fcignore` names. */
export async function watchCode(
  directory: string,
  changed: (path: string) => void,
): Promise<AsyncDisposable> {
  const isIgnored = await readIgnoreRules(directory);
  return watchPaths([directory], changed, (path, isDirectory) => {
    const relative = ignorePath(directory, path);
    if (relative === '' || relative.startsWith('..')) return false;
    return isIgnored(isDirectory ? `${relative}/` : relative);
  });
}

/** Calls back with the last path that changed, once things have been quiet for a moment. */
export async function watchPaths(
  paths: readonly string[],
  changed: (path: string) => void,
  isIgnored: (path: string, isDirectory: boolean) => boolean = () => false,
): Promise<AsyncDisposable> {
  const watcher = watch([...paths], {
    ignoreInitial: true,
    ignored: (path, stats) => isIgnored(path, stats?.isDirectory() ?? false),
  });
  let timer: NodeJS.Timeout | undefined;
  watcher.on('all', (_event, path) => {
    clearTimeout(timer);
    timer = setTimeout(changed, SETTLE_MS, path);
  });
  await new Promise<void>((resolve, reject) => {
    watcher.once('ready', resolve);
    watcher.once('error', reject);
  });
  return {
    async [Symbol.asyncDispose]() {
      clearTimeout(timer);
      await watcher.close();
    },
  };
}
