import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync } from 'node:fs';
import { basename, join } from 'node:path';

const LDD_MS_MAX = 10_000;

/**
 * The few programs of the host that run inside a sandbox before its command does, with the libraries that they need, in one
 * directory: a root made from an image has neither, or others. The loader is called by name with the directory as its
 * library path, so that nothing of the image is loaded into a program that still has rights.
 */
export class StartTools {
  /** Of the host. */
  readonly directory: string;
  readonly #loader: string | undefined;
  readonly #inside: string;

  /** Throws where a program's libraries cannot be found out. */
  constructor(directory: string, inside: string, programs: readonly string[]) {
    this.directory = directory;
    this.#inside = inside;
    mkdirSync(directory, { recursive: true, mode: 0o755 });
    chmodSync(directory, 0o755);
    let loader: string | undefined;
    for (const program of programs) {
      for (const file of [program, ...librariesOf(program)]) {
        const name = basename(file);
        copyFileSync(file, join(directory, name));
        chmodSync(join(directory, name), 0o755);
        if (/^ld[-.]|^ld-linux|^ld-musl/u.test(name)) loader = name;
      }
    }
    this.#loader = loader;
  }

  /** How the copy of this program is called inside. */
  command(program: string): string[] {
    const path = `${this.#inside}/${basename(program)}`;
    if (this.#loader === undefined) return [path];
    return [`${this.#inside}/${this.#loader}`, '--library-path', this.#inside, path];
  }
}

/** Paths of the shared libraries of a program, its loader among them; none for a static one. */
export function librariesOf(program: string): string[] {
  let text: string;
  try {
    text = execFileSync('ldd', [program], { encoding: 'utf8', timeout: LDD_MS_MAX, stdio: 'pipe' });
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    if (/not a dynamic executable|statically linked/u.test(said)) return [];
    throw error;
  }
  return text.split('\n').flatMap((line) => /(?:=>\s*|^\s*)(\/\S+)\s+\(0x/u.exec(line)?.[1] ?? []);
}
