import { basename } from 'node:path';
import type { RunnableVersion, ShimFamily } from '../model/runnable.ts';
import type { Interpreter } from './interpreters.ts';
import { JAVA_BUILD } from './java-build.ts';
import {
  javaArchivedClassPath,
  javaArchiveOptions,
  javaClassPath,
  javaFlags,
  javaOptionsFile,
  JAVA_TRAINED,
} from './java-options.ts';

/** Where things are inside the sandbox, or on the host without one. */
export interface ShimPlaces {
  readonly interpreter: string;
  /** Directory with the language's shim. */
  readonly shim: string;
  readonly code: string;
  readonly layers: string;
  readonly link: string;
  /** What was prepared of the code and lies in no other place; undefined: nothing. */
  readonly cache: string | undefined;
}

/** What tells one language with a shim from another. */
export interface ShimLanguage {
  /** For messages: what the machine needs. */
  readonly program: string;
  /** Of its shim, below `runtimes/`. */
  readonly directory: string;
  /** Which of its numbers a runtime's name and an interpreter's version are compared by. */
  release(interpreter: Interpreter): number;
  /** The release that a runtime names; 0 for none in particular. */
  releaseNamed(runtime: string): number;
  command(places: ShimPlaces, runnable: RunnableVersion, interpreter: Interpreter): [string, ...string[]];
}

/** Of the memory limit, what the JavaScript heap may take; the rest is for buffers, code and stacks. */
const NODE_HEAP_SHARE = 0.8;
/** Of the memory limit, what a JVM needs besides its heap: at least so much, and at least this share. */
const JAVA_OTHER_MB_MIN = 64;
const JAVA_OTHER_SHARE = 0.25;
const JAVA_HEAP_MB_MIN = 16;

export const SHIM_LANGUAGES: Record<ShimFamily, ShimLanguage> = {
  nodejs: {
    program: 'Node 18 or newer',
    directory: 'nodejs',
    release: ({ version }) => version[0],
    releaseNamed: (runtime) => Number.parseInt(runtime.slice('nodejs'.length), 10) || 0,
    command: ({ interpreter, shim }, { memoryMb }) => [
      interpreter,
      `--max-old-space-size=${Math.floor(memoryMb * NODE_HEAP_SHARE)}`,
      `${shim}/shim.cjs`,
    ],
  },
  python3: {
    program: 'Python 3.9 or newer',
    directory: 'python',
    release: ({ version }) => version[1],
    releaseNamed: (runtime) => Number.parseInt(runtime.split('.')[1] ?? '', 10) || 0,
    command: ({ interpreter, shim }) => [interpreter, '-u', '-B', `${shim}/shim.py`],
  },
  java: {
    program: 'a JDK 17 or newer',
    directory: 'java',
    release: ({ version }) => version[0],
    releaseNamed: (runtime) => Number.parseInt(runtime.slice('java'.length), 10) || 0,
    command: ({ interpreter, shim, code, layers, link, cache }, { memoryMb, runtime }, jdk) => {
      const otherMb = Math.max(JAVA_OTHER_MB_MIN, Math.ceil(memoryMb * JAVA_OTHER_SHARE));
      return [
        interpreter,
        cache === undefined
          ? `@${shim}/${javaOptionsFile(jdk, runtime)}`
          : `${javaArchiveOptions(jdk).use}=${cache}/${basename(JAVA_TRAINED)}`,
        ...javaFlags(runtime),
        `-Xmx${Math.max(JAVA_HEAP_MB_MIN, memoryMb - otherMb)}m`,
        '-cp',
        cache === undefined ? javaClassPath(shim, code, layers) : javaArchivedClassPath(shim, code, layers),
        JAVA_BUILD.mainClass,
        link,
      ];
    },
  },
};

export function shimFamilyOf(runtime: string): ShimFamily {
  if (runtime.startsWith('nodejs')) return 'nodejs';
  return runtime.startsWith('java') ? 'java' : 'python3';
}
