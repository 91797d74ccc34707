import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PROGRAMS } from '../contestants/contestant.ts';
import type { BenchContext } from '../context.ts';
import type { Thaw } from './thaw.ts';

/**
 * A platform with the handler of the warm scenarios as an event function, and the function's address. One instance is to
 * be enough for whatever is measured.
 */
export async function deployHello(
  context: BenchContext,
  instanceConcurrency = 100,
): Promise<{ readonly thaw: Thaw; readonly url: string }> {
  const thaw = await context.startThaw();
  const url = await thaw.deploy('hello', {
    runtime: 'nodejs26',
    files: { 'index.js': await readFile(join(PROGRAMS, 'handler.js')) },
    fields: { instanceConcurrency },
  });
  return { thaw, url };
}
