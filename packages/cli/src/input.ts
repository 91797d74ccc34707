import { readFile } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import { ThawError } from '@thaw/protocol/thaw-error.ts';

/**
 * Bytes that a command takes by `-d` or `-f`, where `-` is standard input; undefined where neither is given. `what` is
 * what an error calls them.
 */
export async function readGiven(
  what: string,
  { data, file }: { readonly data?: string | undefined; readonly file?: string | undefined },
): Promise<Buffer | undefined> {
  if (data !== undefined && file !== undefined) {
    throw new ThawError('INVALID_ARGUMENT', `the ${what} is given twice, with -d and with -f`);
  }
  if (data !== undefined) return Buffer.from(data);
  if (file === undefined) return undefined;
  if (file === '-') return buffer(process.stdin);
  return readFile(file).catch((error: unknown) => {
    throw new ThawError('INVALID_ARGUMENT', `reading the ${what} from ${file}`, { cause: error });
  });
}
