import { dirname } from 'node:path';
import type { RunnableVersion } from '../model/runnable.ts';
import type { SandboxMount, SandboxSpec } from '../sandbox/sandbox.ts';
import { containerSpec } from './container-layout.ts';
import type { Interpreter } from './interpreters.ts';
import type { EndpointContext } from './runtime-endpoint.ts';

const PROCESSES_MAX = 1024;
/** Where FC's images keep the languages that are not the system's own. */
const LANGUAGES = '/var/fc/lang';
const SYSTEM_PATH = '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin';

/** What to start for a program of the user's own, in whatever language. */
export function programSpec(
  { runnable, instanceId, interpreters, files, driver, root }: EndpointContext,
  command: readonly [string, ...string[]],
): SandboxSpec {
  if (runnable.container !== undefined && root !== undefined) {
    const setting = { instanceId, outputSocket: files.outputSocket };
    return containerSpec(runnable, runnable.container, root, setting, command);
  }
  const isShared = driver === 'process';
  const code = isShared ? runnable.codeDirectory : '/code';
  const layers = isShared ? (runnable.layerDirectory ?? '/nonexistent') : '/opt';
  const languages = languagesOf(interpreters, isShared);
  const [program, ...args] = command;
  return {
    id: instanceId,
    command: [inCode(program, code), ...args],
    environment: {
      PATH: [...languages.map(({ programs }) => programs), `${code}/bin`, `${layers}/bin`, SYSTEM_PATH].join(
        ':',
      ),
      LD_LIBRARY_PATH: [
        code,
        `${code}/lib`,
        `${layers}/lib`,
        ...languages.flatMap(({ libraries }) => libraries),
      ].join(':'),
      HOME: '/tmp',
      LANG: 'C.UTF-8',
      ...runnable.environment,
      FC_FUNC_CODE_PATH: `${code}/`,
      FC_INSTANCE_ID: instanceId,
    },
    workingDirectory: code,
    mounts: isShared ? [] : mountsOf(runnable, languages),
    memoryBytesMax: runnable.memoryMb * 1024 * 1024,
    cpu: runnable.cpu,
    cpuShare: runnable.memoryMb,
    processesMax: PROCESSES_MAX,
    temporaryBytesMax: runnable.diskMb * 1024 * 1024,
    network: runnable.internetAccess ? 'private' : 'none',
    outputSocket: files.outputSocket,
  };
}

/** A path below `/code` as it is where there is no mount namespace. */
export function inCode(path: string, code: string): string {
  return path === '/code' || path.startsWith('/code/') ? `${code}${path.slice('/code'.length)}` : path;
}

interface Language {
  /** Directory with the program. */
  readonly programs: string;
  readonly libraries: readonly string[];
  readonly mount: SandboxMount | undefined;
}

/**
 * The first interpreter of each language, which is what its name means on this machine: a command like `python3 app.py`
 * finds the one that installed the packages beside it. Those of the system are seen without a mount.
 */
function languagesOf(interpreters: readonly Interpreter[], isShared: boolean): Language[] {
  const firsts = (['python3', 'nodejs'] as const).flatMap(
    (family) => interpreters.find((interpreter) => interpreter.family === family) ?? [],
  );
  return firsts.map(({ family, path, root, version }) => {
    if (isShared || path.startsWith('/usr/')) {
      return { programs: dirname(path), libraries: [], mount: undefined };
    }
    const home = `${LANGUAGES}/${family}${version[family === 'nodejs' ? 0 : 1]}`;
    // Node is one file; Python needs its library beside it.
    return family === 'nodejs'
      ? {
          programs: `${home}/bin`,
          libraries: [],
          mount: { source: path, target: `${home}/bin/node`, readOnly: true },
        }
      : {
          programs: `${home}${dirname(path).slice(root.length)}`,
          libraries: [`${home}/lib`],
          mount: { source: root, target: home, readOnly: true },
        };
  });
}

function mountsOf(runnable: RunnableVersion, languages: readonly Language[]): SandboxMount[] {
  const mounts: SandboxMount[] = [{ source: runnable.codeDirectory, target: '/code', readOnly: true }];
  if (runnable.layerDirectory !== undefined)
    mounts.push({ source: runnable.layerDirectory, target: '/opt', readOnly: true });
  return [...mounts, ...languages.flatMap(({ mount }) => mount ?? [])];
}
