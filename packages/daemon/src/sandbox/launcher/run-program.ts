import { execFile } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';

/** Administration programs live outside the `PATH` of an ordinary user on some hosts. */
const DIRECTORIES = [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/sbin', '/usr/bin', '/bin'];
const PROGRAM_TIMEOUT_MS = 10_000;

export function findProgram(name: string): string | undefined {
  return DIRECTORIES.filter((directory) => directory.startsWith('/'))
    .map((directory) => join(directory, name))
    .find((path) => isExecutable(path));
}

/** Runs a helper program to its end; rejects with what it wrote to stderr. */
export function runProgram(file: string, args: readonly string[], input = ''): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile(file, args, { timeout: PROGRAM_TIMEOUT_MS }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(`${file} ${args.join(' ')}: ${stderr.trim() || error.message}`));
    });
    // A program that ends without reading its input says so in its exit code.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(input);
  });
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
