/** The Java shim and the functions of the cases, compiled into a temporary directory that is a code package. */
import { copyFile, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import {
  compile,
  compileShim,
  fetchInterfaces,
  type Jdk,
  startCommand,
  stemCommand,
} from '../java/toolchain.ts';

const FUNCTIONS = join(import.meta.dirname, 'functions', 'java');
/** Classes that are there when the functions are compiled, and nowhere when they run. */
const MISSING = join(import.meta.dirname, 'functions', 'java-missing');
/** As the cases' SPECIALIZE says. */
const MEMORY_MB = 512;

export interface JavaBuild extends AsyncDisposable {
  readonly codePath: string;
  commandOn(home: string, link: string): string[];
  /** What a stem is started with: neither the code nor its variables are known, and there is room for both. */
  stemCommandOn(home: string, link: string): string[];
}

/** A text where it is impossible: the reason. */
export async function buildJava(home: string | undefined): Promise<JavaBuild | string> {
  if (home === undefined) return 'this machine has no JDK 17 or newer';
  const directory = await mkdtemp(join(tmpdir(), 'thaw-java-'));
  const dispose = (): Promise<void> => rm(directory, { recursive: true, force: true });
  try {
    const interfaces = await fetchInterfaces(directory);
    if (interfaces === undefined) {
      await dispose();
      return 'the published Java interfaces cannot be fetched';
    }
    const codePath = join(directory, 'code');
    await mkdir(join(codePath, 'lib'), { recursive: true });
    await copyFile(interfaces, join(codePath, 'lib', basename(interfaces)));
    const jdk: Jdk = { home, major: 0 };
    const options = ['--release', '17', '-implicit:none', '-sourcepath', MISSING, '-cp', interfaces];
    await compile(jdk, FUNCTIONS, codePath, options);
    const shim = await compileShim(jdk, directory);
    const start = { shim, codePath, layerPath: join(directory, 'no-layers'), memoryMb: MEMORY_MB };
    return {
      codePath,
      commandOn: (one, link) => [...startCommand({ home: one, major: 0 }, start), link],
      stemCommandOn: (one, link) => stemCommand({ home: one, major: 0 }, start, link),
      [Symbol.asyncDispose]: dispose,
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}
