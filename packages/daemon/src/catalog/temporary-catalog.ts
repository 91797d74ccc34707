import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { parseFc } from '@thaw/protocol/fc/parse.ts';
import { createFunctionInput } from '@thaw/protocol/fc/function.ts';
import { LIMITS } from '@thaw/protocol/limits.ts';
import type { ThawError } from '@thaw/protocol/thaw-error.ts';
import { ZipFile } from 'yazl';
import { ManualClock } from '../base/clock.ts';
import { CodeStore } from '../code/code-store.ts';
import type { FunctionRecord } from '../model/function.ts';
import { FileBlobs } from '../store/file-blobs.ts';
import { SqliteRecords } from '../store/sqlite/sqlite-records.ts';
import { Catalog } from './catalog.ts';

/** For tests: a catalog on real stores in a directory of its own, which goes away with it. */
export interface TemporaryCatalog extends AsyncDisposable {
  readonly directory: string;
  readonly clock: ManualClock;
  readonly records: SqliteRecords;
  readonly blobs: FileBlobs;
  readonly store: CodeStore;
  readonly brokenCode: ThawError[];
  /** Told of every change of a function; for tests to add to. */
  readonly listeners: ((functionName: string) => void)[];
  catalog: Catalog;
  /** Closes everything and opens it again on the same directory. */
  reopen(): Promise<TemporaryCatalog>;
}

export const TEST_PLACE = { region: 'local', accountId: '1000000000000000' };

export async function openTemporaryCatalog(
  clock = new ManualClock(Date.parse('2026-11-20T12:00:00Z')),
): Promise<TemporaryCatalog> {
  return await openIn(await mkdtemp(join(tmpdir(), 'thaw-catalog-')), clock);
}

async function openIn(directory: string, clock: ManualClock): Promise<TemporaryCatalog> {
  const records = new SqliteRecords(directory);
  const blobs = new FileBlobs(join(directory, 'blobs'));
  const store = await CodeStore.open({ dataDirectory: directory, blobs, clock, collectGraceMs: 0 });
  const brokenCode: ThawError[] = [];
  const listeners: ((functionName: string) => void)[] = [];
  const catalog = await Catalog.open({
    records,
    packages: store,
    clock,
    place: TEST_PLACE,
    onChanged: (functionName) => {
      for (const listener of listeners) listener(functionName);
    },
    onBrokenCode: (error) => brokenCode.push(error),
  });
  const close = async (): Promise<void> => {
    await catalog.close();
    records.close();
  };
  return {
    directory,
    clock,
    records,
    blobs,
    store,
    brokenCode,
    listeners,
    catalog,
    reopen: async () => {
      await close();
      return await openIn(directory, clock);
    },
    [Symbol.asyncDispose]: async () => {
      await close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** A zip with these files. */
export async function zipOf(files: Readonly<Record<string, string>>): Promise<Buffer> {
  const zip = new ZipFile();
  // One time for all, or the same files would make another zip two seconds later.
  const mtime = new Date(0);
  for (const [name, content] of Object.entries(files)) zip.addBuffer(Buffer.from(content), name, { mtime });
  zip.end();
  return await buffer(zip.outputStream);
}

export async function createFunction(
  catalog: Catalog,
  functionName: string,
  fields: Readonly<Record<string, unknown>> = {},
): Promise<FunctionRecord> {
  const zip = await zipOf({ 'index.js': `exports.handler = async () => 'hello';` });
  const input = parseFc(createFunctionInput, {
    functionName,
    runtime: 'nodejs20',
    handler: 'index.handler',
    code: { zipFile: zip.toString('base64') },
    ...fields,
  });
  return await catalog.functions.create(input, { zip, bytesMax: LIMITS.codeZipBytesMax });
}
