import { ChunkTable } from '../chunks/chunk-table.ts';
import { BLOCK_BYTES, type PackIndex } from '../trace/trace-pack.ts';

/** An image as all threads see it: what is in it, and where on disk each chunk is by now. */
export interface ServedImage {
  readonly id: number;
  readonly table: ChunkTable;
  readonly skeleton: Uint8Array<SharedArrayBuffer>;
  /** By chunk; 0: not on disk. See `segment-places.ts`. */
  readonly places: Int32Array<SharedArrayBuffer>;
}

/** One file of the FUSE directory: an image, or once more the same image for whoever is being recorded. */
export interface ServedNode {
  readonly node: number;
  readonly name: string;
  readonly image: ServedImage;
  /** By chunk: when it was first read, counted from 1; 0: not yet. */
  readonly touchOrder: Int32Array<SharedArrayBuffer>;
  /** By chunk: milliseconds from the node's beginning to the first read. */
  readonly touchMs: Int32Array<SharedArrayBuffer>;
  /** By block of the image: when it was first read, as of chunks. */
  readonly blockOrder: Int32Array<SharedArrayBuffer>;
  readonly counters: BigInt64Array<SharedArrayBuffer>;
  readonly startedMs: number;
  /** Where the blocks are that its trace names, as far as they came in a pack. */
  pack: ServedPack | undefined;
}

/** A pack as all threads see it. */
export interface ServedPack {
  /** Pieces by place, each four numbers: place, size, frame, and from where in the frame. */
  readonly pieces: Float64Array<SharedArrayBuffer>;
  /** By frame; 0: not on disk. */
  readonly places: Int32Array<SharedArrayBuffer>;
}

/** Indices of `ServedNode.counters`. */
export const COUNTER = {
  touched: 0,
  reads: 1,
  readBytes: 2,
  diskChunks: 3,
  diskBytes: 4,
  waits: 5,
  blocks: 6,
} as const;
const COUNTERS = Object.keys(COUNTER).length;
const PIECE_NUMBERS = 4;

/** What crosses to a thread: memory that is shared, and numbers. */
export interface ImageMessage {
  readonly type: 'image';
  readonly id: number;
  readonly table: SharedArrayBuffer;
  readonly skeleton: SharedArrayBuffer;
  readonly places: SharedArrayBuffer;
}

export interface NodeMessage {
  readonly type: 'node';
  readonly node: number;
  readonly name: string;
  readonly image: number;
  readonly touchOrder: SharedArrayBuffer;
  readonly touchMs: SharedArrayBuffer;
  readonly blockOrder: SharedArrayBuffer;
  readonly counters: SharedArrayBuffer;
  readonly startedMs: number;
}

/** Of a node that has none any more, nothing. */
export interface PackMessage {
  readonly type: 'pack';
  readonly node: number;
  readonly pack: { readonly pieces: SharedArrayBuffer; readonly places: SharedArrayBuffer } | undefined;
}

export type ServerMessage =
  | ImageMessage
  | NodeMessage
  | PackMessage
  | { readonly type: 'removeNode'; readonly node: number }
  | { readonly type: 'removeImage'; readonly id: number };

export type ThreadMessage =
  | {
      readonly type: 'read';
      readonly unique: bigint;
      readonly node: number;
      readonly offset: number;
      readonly size: number;
    }
  | { readonly type: 'released'; readonly node: number }
  | { readonly type: 'problem'; readonly text: string };

/** `table` must be in shared memory. */
export function newServedImage(id: number, table: ChunkTable, skeleton: Buffer): ServedImage {
  const memory = new SharedArrayBuffer(skeleton.length);
  const shared = new Uint8Array(memory);
  shared.set(skeleton);
  return {
    id,
    table: table.shared(),
    skeleton: shared,
    places: new Int32Array(new SharedArrayBuffer(table.count * 4)),
  };
}

export function newServedNode(node: number, name: string, image: ServedImage, startedMs: number): ServedNode {
  const { count, imageBytes } = image.table;
  return {
    node,
    name,
    image,
    touchOrder: new Int32Array(new SharedArrayBuffer(count * 4)),
    touchMs: new Int32Array(new SharedArrayBuffer(count * 4)),
    blockOrder: new Int32Array(new SharedArrayBuffer(Math.ceil(imageBytes / BLOCK_BYTES) * 4)),
    counters: new BigInt64Array(new SharedArrayBuffer(COUNTERS * 8)),
    startedMs,
    pack: undefined,
  };
}

export function newServedPack({ pieces, frames }: PackIndex): ServedPack {
  const numbers = new Float64Array(new SharedArrayBuffer(pieces.length * PIECE_NUMBERS * 8));
  for (const [index, { place, size, frame, from }] of pieces.entries())
    numbers.set([place, size, frame, from], index * PIECE_NUMBERS);
  return { pieces: numbers, places: new Int32Array(new SharedArrayBuffer(frames.length * 4)) };
}

export function imageMessage({ id, table, skeleton, places }: ServedImage): ImageMessage {
  const { memory } = table;
  if (!(memory instanceof SharedArrayBuffer)) throw new Error('the table of a served image is not shared');
  return { type: 'image', id, table: memory, skeleton: skeleton.buffer, places: places.buffer };
}

export function nodeMessage({
  node,
  name,
  image,
  touchOrder,
  touchMs,
  blockOrder,
  counters,
  startedMs,
}: ServedNode): NodeMessage {
  return {
    type: 'node',
    node,
    name,
    image: image.id,
    touchOrder: touchOrder.buffer,
    touchMs: touchMs.buffer,
    blockOrder: blockOrder.buffer,
    counters: counters.buffer,
    startedMs,
  };
}

export function packMessage({ node, pack }: ServedNode): PackMessage {
  const memory = pack === undefined ? undefined : { pieces: pack.pieces.buffer, places: pack.places.buffer };
  return { type: 'pack', node, pack: memory };
}

export function imageOf({ id, table, skeleton, places }: ImageMessage): ServedImage {
  return {
    id,
    table: new ChunkTable(table),
    skeleton: new Uint8Array(skeleton),
    places: new Int32Array(places),
  };
}

export function nodeOf(message: NodeMessage, image: ServedImage): ServedNode {
  const { node, name, touchOrder, touchMs, blockOrder, counters, startedMs } = message;
  return {
    node,
    name,
    image,
    touchOrder: new Int32Array(touchOrder),
    touchMs: new Int32Array(touchMs),
    blockOrder: new Int32Array(blockOrder),
    counters: new BigInt64Array(counters),
    startedMs,
    pack: undefined,
  };
}

export function packOf({ pack }: PackMessage): ServedPack | undefined {
  if (pack === undefined) return undefined;
  return { pieces: new Float64Array(pack.pieces), places: new Int32Array(pack.places) };
}

/** Notes the first read of a chunk. */
export function touch(node: ServedNode, chunk: number): void {
  if (Atomics.load(node.touchOrder, chunk) !== 0) return;
  const order = Number(Atomics.add(node.counters, COUNTER.touched, 1n)) + 1;
  if (Atomics.compareExchange(node.touchOrder, chunk, 0, order) === 0)
    Atomics.store(node.touchMs, chunk, Math.max(0, Math.round(Date.now() - node.startedMs)));
}

/** Notes the first reads of blocks. */
export function touchBlocks({ blockOrder, counters }: ServedNode, offset: number, length: number): void {
  const last = Math.floor((offset + length - 1) / BLOCK_BYTES);
  for (let block = Math.floor(offset / BLOCK_BYTES); block <= last; block += 1) {
    if (Atomics.load(blockOrder, block) !== 0) continue;
    const order = Number(Atomics.add(counters, COUNTER.blocks, 1n)) + 1;
    Atomics.compareExchange(blockOrder, block, 0, order);
  }
}

/** Blocks in the order of their first reads. */
export function touchedBlocks({ blockOrder }: ServedNode): Uint32Array {
  return Uint32Array.from(inOrder(blockOrder), ({ index }) => index);
}

function inOrder(orders: Int32Array): { readonly index: number; readonly order: number }[] {
  const found: { index: number; order: number }[] = [];
  for (let index = 0; index < orders.length; index += 1) {
    const order = Atomics.load(orders, index);
    if (order !== 0) found.push({ index, order });
  }
  return found.toSorted((left, right) => left.order - right.order);
}

/** Chunks in the order of their first reads, with the time of each. */
export function touches({
  touchOrder,
  touchMs,
}: ServedNode): { readonly chunk: number; readonly ms: number }[] {
  return inOrder(touchOrder).map(({ index }) => ({ chunk: index, ms: Atomics.load(touchMs, index) }));
}

/** The image's own part of a read: metadata from memory, zeros where nothing is. Gives how many bytes there are. */
export function fillSkeleton(
  { table, skeleton }: ServedImage,
  offset: number,
  size: number,
  target: Uint8Array,
): number {
  const length = Math.max(0, Math.min(size, table.imageBytes - offset));
  target.fill(0, 0, length);
  if (offset < skeleton.length)
    target.set(skeleton.subarray(offset, Math.min(offset + length, skeleton.length)));
  return length;
}

/** Chunks that overlap a read, each with its part: `from` of the chunk goes to `to` of the read. */
export function* overlaps(
  { table }: ServedImage,
  offset: number,
  length: number,
): Generator<{
  readonly chunk: number;
  readonly from: number;
  readonly to: number;
  readonly length: number;
}> {
  const end = offset + length;
  for (let chunk = table.firstEndingAfter(offset); chunk < table.count; chunk += 1) {
    const place = table.place(chunk);
    if (place >= end) return;
    const first = Math.max(place, offset);
    const last = Math.min(place + table.size(chunk), end);
    yield { chunk, from: first - place, to: first - offset, length: last - first };
  }
}

/** A part of a frame: `from` of it goes to `to` of what is read. */
export interface FramePart {
  readonly frame: number;
  readonly from: number;
  readonly to: number;
  readonly length: number;
}

/** The parts of frames that a range of the image consists of; undefined where the pack does not hold all of it. */
export function framePartsOf(
  { pieces }: ServedPack,
  offset: number,
  length: number,
): FramePart[] | undefined {
  const parts: FramePart[] = [];
  let index = firstPieceAfter(pieces, offset);
  for (let at = offset; at < offset + length; index += 1) {
    const [place = Infinity, size = 0, frame = 0, from = 0] = pieces.subarray(
      index * PIECE_NUMBERS,
      (index + 1) * PIECE_NUMBERS,
    );
    if (place > at) return undefined;
    const end = Math.min(place + size, offset + length);
    parts.push({ frame, from: from + at - place, to: at - offset, length: end - at });
    at = end;
  }
  return parts;
}

/** The first piece that ends behind this byte of the image. */
function firstPieceAfter(pieces: Float64Array, position: number): number {
  let low = 0;
  let high = pieces.length / PIECE_NUMBERS;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const [place = 0, size = 0] = pieces.subarray(middle * PIECE_NUMBERS, (middle + 1) * PIECE_NUMBERS);
    if (place + size > position) high = middle;
    else low = middle + 1;
  }
  return low;
}
