import { ThawError } from '@thaw/protocol/thaw-error.ts';
import * as z from 'zod';
import type { EntryKind, LayerChunk, LayerEntry } from './layer-entry.ts';
import { layerPath } from './layer-path.ts';

/**
 * The table of contents of an eStargz or zstd:chunked layer as JSON (containerd/stargz-snapshotter, docs/estargz.md). Times carry
 * nanoseconds, which readers that know only seconds accept.
 */
export const TOC_NAME = 'stargz.index.json';
/** Files by which some writers tell a snapshotter what to fetch first; they are no part of the image. */
const LANDMARKS = new Set(['.prefetch.landmark', '.no.prefetch.landmark', TOC_NAME]);
const ENTRIES_MAX = 4_000_000;
const CHUNK_BYTES_MAX = 16 * 1024 * 1024;

const count = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const TOC_ENTRY = z.object({
  name: z.string(),
  type: z.string(),
  size: count.optional(),
  modtime: z.string().optional(),
  linkName: z.string().optional(),
  mode: count.optional(),
  uid: count.max(2 ** 32 - 2).optional(),
  gid: count.max(2 ** 32 - 2).optional(),
  offset: count.optional(),
  innerOffset: count.optional(),
  xattrs: z.record(z.string(), z.string()).nullish(),
  digest: z.string().optional(),
  chunkOffset: count.optional(),
  chunkSize: count.optional(),
  chunkDigest: z.string().optional(),
});
const TOC = z.object({ version: z.literal(1), entries: z.array(TOC_ENTRY).max(ENTRIES_MAX) });
export type TocEntry = z.output<typeof TOC_ENTRY>;

const TYPES: ReadonlyMap<string, EntryKind> = new Map([
  ['reg', 'file'],
  ['dir', 'directory'],
  ['symlink', 'symlink'],
  ['hardlink', 'hardlink'],
  ['fifo', 'fifo'],
]);

/**
 * The entries that a table of contents names; `tocOffset` is where the layer's own bytes end. Throws INVALID_IMAGE,
 * also for tables that are right but of a kind that this platform does not mount (chunks that share a member,
 * chunks without digests): such a layer is converted like any other.
 */
export function parseToc(json: Buffer, tocOffset: number): LayerEntry[] {
  const parsed = TOC.safeParse(parseJson(json));
  if (!parsed.success)
    throw new ThawError('INVALID_IMAGE', 'the table of contents of a layer is none', { cause: parsed.error });
  const { entries } = parsed.data;
  const ends = memberEnds(entries, tocOffset);
  const found: LayerEntry[] = [];
  for (let at = 0; at < entries.length; at += 1) {
    const entry = entries[at];
    if (entry === undefined || LANDMARKS.has(entry.name)) continue;
    if (entry.type === 'chunk') throw invalid(entry.name, 'has a chunk that belongs to no file');
    if (entry.type === 'char' || entry.type === 'block') {
      // As in tars: `/dev` is the sandbox's own, elsewhere nobody has devices by accident.
      if (layerPath(entry.name).startsWith('dev/')) continue;
      throw invalid(entry.name, 'is a device node');
    }
    const pieces = [entry];
    for (let next = entries[at + 1]; entry.type === 'reg' && next?.type === 'chunk'; next = entries[at + 1]) {
      pieces.push(next);
      at += 1;
    }
    found.push(entryOf(entry, pieces, ends));
  }
  return found;
}

/** The other way round. `tocEntries(entry)` of every entry in order is a table that `parseToc` reads. */
export function tocEntries(entry: LayerEntry): TocEntry[] {
  const [type] = [...TYPES].find(([, kind]) => kind === entry.kind) ?? ['reg'];
  const base: TocEntry = {
    name: entry.kind === 'directory' ? `${entry.path}/` : entry.path,
    type,
    modtime: rfc3339(entry.mtimeNs),
    mode: entry.mode,
    uid: entry.uid,
    gid: entry.gid,
    ...(entry.linkTarget === '' ? {} : { linkName: entry.linkTarget }),
    ...(entry.xattrs.size === 0
      ? {}
      : {
          xattrs: Object.fromEntries(
            [...entry.xattrs].map(([name, value]) => [name, value.toString('base64')]),
          ),
        }),
  };
  if (entry.kind !== 'file') return [base];
  const [first, ...rest] = entry.chunks;
  if (first === undefined) return [{ ...base, size: 0 }];
  return [
    { ...base, size: entry.size, ...chunkFields(first) },
    ...rest.map((chunk) => ({ name: entry.path, type: 'chunk', ...chunkFields(chunk) })),
  ];
}

function chunkFields(chunk: LayerChunk): Partial<TocEntry> {
  return {
    offset: chunk.blobOffset,
    chunkOffset: chunk.fileOffset,
    chunkSize: chunk.size,
    chunkDigest: `sha256:${chunk.digest}`,
  };
}

function parseJson(json: Buffer): unknown {
  try {
    return JSON.parse(json.toString('utf8'));
  } catch (cause) {
    throw new ThawError('INVALID_IMAGE', 'the table of contents of a layer is no JSON', { cause });
  }
}

/** A member ends where the next one begins, or where the table itself does. */
function memberEnds(entries: readonly TocEntry[], tocOffset: number): ReadonlyMap<number, number> {
  const starts = [
    ...new Set(entries.filter((entry) => isPiece(entry)).map((entry) => entry.offset ?? 0)),
  ].toSorted((left, right) => left - right);
  return new Map(starts.map((start, at) => [start, starts[at + 1] ?? tocOffset]));
}

function isPiece({ type, size, offset }: TocEntry): boolean {
  return offset !== undefined && (type === 'chunk' || (type === 'reg' && (size ?? 0) > 0));
}

function entryOf(
  entry: TocEntry,
  pieces: readonly TocEntry[],
  ends: ReadonlyMap<number, number>,
): LayerEntry {
  const kind = TYPES.get(entry.type);
  if (kind === undefined) throw invalid(entry.name, `is of the unknown type ${JSON.stringify(entry.type)}`);
  const size = kind === 'file' ? (entry.size ?? 0) : 0;
  return {
    path: layerPath(entry.name),
    kind,
    mode: (entry.mode ?? 0) & 0o7777,
    uid: entry.uid ?? 0,
    gid: entry.gid ?? 0,
    mtimeNs: timeNs(entry),
    size,
    linkTarget: targetOf(kind, entry),
    xattrs: new Map(
      Object.entries(entry.xattrs ?? {}).map(([name, value]) => [name, Buffer.from(value, 'base64')]),
    ),
    chunks:
      size === 0 ? [] : pieces.map((piece, at) => chunkOf(piece, pieces[at + 1]?.chunkOffset ?? size, ends)),
  };
}

function targetOf(kind: EntryKind, { linkName = '', name }: TocEntry): string {
  if (kind === 'hardlink') return layerPath(linkName);
  if (kind !== 'symlink') return '';
  const bytes = Buffer.byteLength(linkName);
  if (bytes === 0 || bytes > 4095 || linkName.includes('\0'))
    throw invalid(name, 'is a symbolic link to nowhere');
  return linkName;
}

function chunkOf(piece: TocEntry, end: number, ends: ReadonlyMap<number, number>): LayerChunk {
  const { name, offset, chunkOffset = 0, chunkDigest = '', innerOffset = 0 } = piece;
  const size = end - chunkOffset;
  const digest = /^sha256:([0-9a-f]{64})$/u.exec(chunkDigest)?.[1];
  if (offset === undefined || digest === undefined) throw invalid(name, 'has a chunk without a digest');
  if (innerOffset !== 0) throw invalid(name, 'has a chunk that shares its member');
  if (size <= 0 || size > CHUNK_BYTES_MAX) throw invalid(name, `has a chunk of ${size} bytes`);
  if (piece.chunkSize !== undefined && piece.chunkSize !== 0 && piece.chunkSize !== size)
    throw invalid(name, 'has chunks that leave gaps');
  const blobEnd = ends.get(offset) ?? offset;
  if (blobEnd <= offset) throw invalid(name, 'has a chunk behind the end of its layer');
  return { fileOffset: chunkOffset, size, digest, blobOffset: offset, blobLength: blobEnd - offset };
}

function timeNs({ modtime, name }: TocEntry): bigint {
  if (modtime === undefined || modtime === '') return 0n;
  const match = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$/u.exec(modtime);
  const ms = match === null ? Number.NaN : Date.parse(`${match[1]}${match[3]}`);
  if (Number.isNaN(ms)) throw invalid(name, 'has a time that is none');
  return BigInt(ms) * 1_000_000n + BigInt((match?.[2] ?? '').padEnd(9, '0'));
}

function rfc3339(ns: bigint): string {
  const fraction = ((ns % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
  const seconds = (ns - fraction) / 1_000_000_000n;
  const whole = new Date(Number(seconds) * 1000).toISOString().slice(0, 19);
  return fraction === 0n ? `${whole}Z` : `${whole}.${String(fraction).padStart(9, '0').replace(/0+$/u, '')}Z`;
}

function invalid(name: string, why: string): ThawError {
  return new ThawError(
    'INVALID_IMAGE',
    `the entry ${JSON.stringify(name.slice(0, 200))} in the table of contents of a layer ${why}`,
  );
}
