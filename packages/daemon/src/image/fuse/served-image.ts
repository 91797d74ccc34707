import { ChunkTable } from '../chunks/chunk-table.ts';

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
  readonly counters: BigInt64Array<SharedArrayBuffer>;
  readonly startedMs: number;
}

/** Indices of `ServedNode.counters`. */
export const COUNTER = { touched: 0, reads: 1, readBytes: 2, diskChunks: 3, diskBytes: 4, waits: 5 } as const;
const COUNTERS = Object.keys(COUNTER).length;

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
  readonly counters: SharedArrayBuffer;
  readonly startedMs: number;
}

export type ServerMessage =
  | ImageMessage
  | NodeMessage
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
  const { count } = image.table;
  return {
    node,
    name,
    image,
    touchOrder: new Int32Array(new SharedArrayBuffer(count * 4)),
    touchMs: new Int32Array(new SharedArrayBuffer(count * 4)),
    counters: new BigInt64Array(new SharedArrayBuffer(COUNTERS * 8)),
    startedMs,
  };
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
    counters: counters.buffer,
    startedMs,
  };
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
  const { node, name, touchOrder, touchMs, counters, startedMs } = message;
  return {
    node,
    name,
    image,
    touchOrder: new Int32Array(touchOrder),
    touchMs: new Int32Array(touchMs),
    counters: new BigInt64Array(counters),
    startedMs,
  };
}

/** Notes the first read of a chunk. */
export function touch(node: ServedNode, chunk: number): void {
  if (Atomics.load(node.touchOrder, chunk) !== 0) return;
  const order = Number(Atomics.add(node.counters, COUNTER.touched, 1n)) + 1;
  if (Atomics.compareExchange(node.touchOrder, chunk, 0, order) === 0)
    Atomics.store(node.touchMs, chunk, Math.max(0, Math.round(Date.now() - node.startedMs)));
}

/** Chunks in the order of their first reads, with the time of each. */
export function touches({
  touchOrder,
  touchMs,
}: ServedNode): { readonly chunk: number; readonly ms: number }[] {
  const found: { chunk: number; order: number; ms: number }[] = [];
  for (let chunk = 0; chunk < touchOrder.length; chunk += 1) {
    const order = Atomics.load(touchOrder, chunk);
    if (order !== 0) found.push({ chunk, order, ms: Atomics.load(touchMs, chunk) });
  }
  return found.toSorted((left, right) => left.order - right.order).map(({ chunk, ms }) => ({ chunk, ms }));
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
