import { existsSync } from 'node:fs';
import { mkdtemp, readFile, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, relative, sep } from 'node:path';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Format, Plugin } from 'esbuild';
import type { CodeEntry } from './list-code.ts';

/** As the platform looks for a handler's file, with TypeScript before what a compiler may have left beside it. */
const EXTENSIONS = ['.ts', '.mts', '.cts', '.js', '.cjs', '.mjs'];
/** A package with one of these is built for a machine: it stays as it is. */
const NATIVE_MARKS = ['binding.gyp', 'prebuilds', 'build/Release'];

/** Says what is only defined in CommonJS, for CommonJS code that becomes part of a module. */
const COMMONJS_NAMES = `
import { fileURLToPath } from 'node:url';
import { dirname } from 'node:path';
export const __filename = fileURLToPath(import.meta.url);
export const __dirname = dirname(__filename);
`;
const REQUIRE_IN_MODULES =
  "import { createRequire as createRequireOfBundle } from 'node:module'; const require = createRequireOfBundle(import.meta.url);";

export interface BundleOptions {
  readonly directory: string;
  /** `file.name` of the handler and of each hook. */
  readonly handlers: readonly string[];
  /** `nodejs20` and the like. */
  readonly runtime: string;
}

/** What takes the place of the sources in the package. Dispose of it when the package is made. */
export interface BundledCode extends AsyncDisposable {
  readonly entries: readonly CodeEntry[];
  /** Packages that could not be bundled and stay in `node_modules`. */
  readonly unbundled: readonly string[];
  readonly warnings: readonly string[];
}

/**
 * Makes one file of each handler's module and everything that it imports, TypeScript too: an instance then reads one
 * file instead of hundreds. Files that are no part of a bundle stay, except for `node_modules`, which stays whole
 * where a package cannot be bundled and is left out otherwise.
 */
export async function bundleCode(
  { directory, handlers, runtime }: BundleOptions,
  entries: readonly CodeEntry[],
): Promise<BundledCode> {
  const [root, { build }] = await Promise.all([realpath(directory), import('esbuild')]);
  const modules = [...new Set(handlers.map(moduleOf))].map((name) => findModule(root, name));
  const output = await mkdtemp(join(tmpdir(), 'thaw-bundle-'));
  const dispose = (): Promise<void> => rm(output, { recursive: true, force: true });
  try {
    const replaced = new Set<string>();
    const unbundled = new Set<string>();
    const warnings: string[] = [];
    const made: CodeEntry[] = [];
    for (const { name, file } of modules) {
      const format = await formatOf(root, file);
      // Each says what it is, whatever a `package.json` says of the directory.
      const path = `${name}${format === 'esm' ? '.mjs' : '.cjs'}`;
      const result = await build({
        absWorkingDir: root,
        entryPoints: [file],
        outfile: join(output, path),
        bundle: true,
        platform: 'node',
        target: `node${/\d+/u.exec(runtime)?.[0] ?? ''}`,
        format,
        ...(format === 'esm' ? { banner: { js: REQUIRE_IN_MODULES } } : {}),
        plugins: [nativePackages(root, unbundled), ...(format === 'esm' ? [commonJsNames()] : [])],
        ...(format === 'esm' ? { inject: [COMMONJS_NAMES_PATH] } : {}),
        keepNames: true,
        legalComments: 'none',
        metafile: true,
        logLevel: 'silent',
      });
      warnings.push(...result.warnings.map((warning) => messageText(warning)));
      for (const input of Object.keys(result.metafile.inputs)) replaced.add(input);
      // Another file of this name, which a compiler may have left there, would be found before the bundle.
      for (const extension of EXTENSIONS) replaced.add(name + extension);
      made.push({ kind: 'file', path, source: join(output, path), isExecutable: false });
    }
    const kept = entries.filter(({ path }) =>
      isInNodeModules(path) ? unbundled.size > 0 : !replaced.has(path),
    );
    return {
      entries: [...kept, ...made].toSorted((one, other) => (one.path < other.path ? -1 : 1)),
      unbundled: [...unbundled].toSorted(),
      warnings,
      [Symbol.asyncDispose]: dispose,
    };
  } catch (error) {
    await dispose();
    throw bundleError(directory, error);
  }
}

const COMMONJS_NAMES_PATH = 'thaw:commonjs-names';

function commonJsNames(): Plugin {
  return {
    name: 'commonjs-names',
    setup(build) {
      build.onResolve({ filter: /^thaw:commonjs-names$/ }, ({ path }) => ({ path, namespace: 'thaw' }));
      build.onLoad({ filter: /.*/, namespace: 'thaw' }, () => ({ contents: COMMONJS_NAMES, loader: 'js' }));
    },
  };
}

/** Leaves packages that hold machine code out of the bundle, and tells their names. */
function nativePackages(root: string, unbundled: Set<string>): Plugin {
  return {
    name: 'native-packages',
    setup(build) {
      build.onResolve({ filter: /^[^./]/ }, ({ path, resolveDir }) => {
        if (path.startsWith('node:') || path.startsWith('thaw:')) return undefined;
        const name = packageName(path);
        const home = packageHome(root, resolveDir, name);
        if (home === undefined || !NATIVE_MARKS.some((mark) => existsSync(join(home, mark))))
          return undefined;
        unbundled.add(name);
        return { path, external: true };
      });
    },
  };
}

/** Where `name` is installed for code in `from`, as Node looks for it, inside the code directory. */
function packageHome(root: string, from: string, name: string): string | undefined {
  for (let at = from; at === root || at.startsWith(root + sep); at = dirname(at)) {
    const home = join(at, 'node_modules', name);
    if (existsSync(home)) return home;
    if (at === root) break;
  }
  return undefined;
}

function packageName(specifier: string): string {
  const parts = specifier.split('/');
  return parts.slice(0, specifier.startsWith('@') ? 2 : 1).join('/');
}

function isInNodeModules(path: string): boolean {
  return path.split('/').includes('node_modules');
}

function moduleOf(handler: string): string {
  const dot = handler.lastIndexOf('.');
  if (dot > 0) return handler.slice(0, dot);
  throw new ThawError('INVALID_ARGUMENT', `the handler '${handler}' does not have the form 'file.name'`);
}

function findModule(root: string, name: string): { readonly name: string; readonly file: string } {
  const bases = [name, `${name}/index`];
  for (const base of bases) {
    for (const extension of EXTENSIONS) {
      const file = join(root, base + extension);
      if (existsSync(file) && relative(root, file).split(sep)[0] !== '..') return { name: base, file };
    }
  }
  const tried = EXTENSIONS.map((extension) => name + extension).join(', ');
  throw new ThawError('INVALID_ARGUMENT', `there is none of ${tried} to bundle in ${root}`);
}

/** What Node would take the file for: by its extension, or by the nearest `package.json`. */
async function formatOf(root: string, file: string): Promise<Format> {
  if (/\.m[jt]s$/u.test(file)) return 'esm';
  if (/\.c[jt]s$/u.test(file)) return 'cjs';
  for (let at = dirname(file); ; at = dirname(at)) {
    const manifest = join(at, 'package.json');
    if (existsSync(manifest)) {
      return /"type"\s*:\s*"module"/u.test(await readFile(manifest, 'utf8')) ? 'esm' : 'cjs';
    }
    if (at === root) return 'cjs';
  }
}

interface Message {
  readonly text: string;
  readonly location: { readonly file: string; readonly line: number } | null;
}

function messageText({ text, location }: Message): string {
  return location === null ? text : `${location.file}:${location.line}: ${text}`;
}

function bundleError(directory: string, error: unknown): ThawError {
  if (error instanceof ThawError) return error;
  const reasons = isBuildFailure(error) ? error.errors.map((message) => messageText(message)) : [];
  return new ThawError(
    'INVALID_ARGUMENT',
    `bundling ${directory}: ${reasons.length > 0 ? reasons.join('; ') : String(error)}`,
    { cause: error },
  );
}

function isBuildFailure(error: unknown): error is { readonly errors: readonly Message[] } {
  return error instanceof Error && 'errors' in error && Array.isArray(error.errors);
}
