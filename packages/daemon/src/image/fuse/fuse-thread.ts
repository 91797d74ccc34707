/**
 * A thread that answers the kernel: it waits in `read` on the FUSE descriptor, answers from memory and from segments on
 * disk, and hands what is not there to the main thread. It never waits for anything else, so that one slow chunk keeps
 * nobody from the others. It ends when the file system is unmounted or aborted.
 */
import { readSync, writevSync } from 'node:fs';
import { receiveMessageOnPort, workerData, type MessagePort } from 'node:worker_threads';
import { offsetOf, slotOf, type SegmentPlaces } from '../tiers/segment-places.ts';
import {
  attributeAnswer,
  entryAnswer,
  ERRNO,
  initAnswer,
  lookupName,
  OPCODE,
  openAnswer,
  OUT_HEADER_BYTES,
  outHeader,
  parseRequest,
  READ_BYTES_MAX,
  readRange,
  ROOT_ID,
  statfsAnswer,
  writeOutHeader,
  type FuseRequest,
} from './fuse-wire.ts';
import {
  COUNTER,
  fillSkeleton,
  framePartsOf,
  imageOf,
  nodeOf,
  overlaps,
  packOf,
  touch,
  touchBlocks,
  type ServedImage,
  type ServedNode,
  type ServerMessage,
  type ThreadMessage,
} from './served-image.ts';

export interface ThreadData {
  readonly descriptor: number;
  readonly port: MessagePort;
  readonly places: SegmentPlaces;
}

/** Requests carry names and numbers only; nothing is ever written. */
const REQUEST_BYTES_MAX = 64 * 1024;

// oxlint-disable-next-line typescript/no-unsafe-type-assertion
const { descriptor, port, places } = workerData as ThreadData;
const images = new Map<number, ServedImage>();
const nodes = new Map<number, ServedNode>();
const names = new Map<string, ServedNode>();
const request = Buffer.alloc(REQUEST_BYTES_MAX);
const header = Buffer.alloc(OUT_HEADER_BYTES);
const data = Buffer.alloc(READ_BYTES_MAX);

serve();

function serve(): void {
  for (;;) {
    let size: number;
    try {
      size = readSync(descriptor, request);
    } catch (error) {
      const code = codeOf(error);
      // A request that its caller gave up between the kernel's two steps is none.
      if (code === 'EINTR' || code === 'ENOENT' || code === 'EAGAIN') continue;
      if (code !== 'ENODEV')
        tell({ type: 'problem', text: `reading requests of the kernel failed: ${code}` });
      port.close();
      return;
    }
    if (size === 0) {
      port.close();
      return;
    }
    // What the main thread said before the kernel could know of it comes first.
    learn();
    answer(parseRequest(request));
  }
}

function learn(): void {
  for (
    let received = receiveMessageOnPort(port);
    received !== undefined;
    received = receiveMessageOnPort(port)
  ) {
    const message: ServerMessage = received.message;
    switch (message.type) {
      case 'image':
        images.set(message.id, imageOf(message));
        break;
      case 'node': {
        const image = images.get(message.image);
        if (image === undefined) break;
        const node = nodeOf(message, image);
        nodes.set(node.node, node);
        names.set(node.name, node);
        break;
      }
      case 'pack': {
        const node = nodes.get(message.node);
        if (node !== undefined) node.pack = packOf(message);
        break;
      }
      case 'removeNode': {
        const node = nodes.get(message.node);
        if (node !== undefined) names.delete(node.name);
        nodes.delete(message.node);
        break;
      }
      case 'removeImage':
        images.delete(message.id);
    }
  }
}

function answer(asked: FuseRequest): void {
  const { opcode, unique, node, body } = asked;
  switch (opcode) {
    case OPCODE.forget:
    case OPCODE.batchForget:
    case OPCODE.interrupt:
      return;
    case OPCODE.init:
      return reply(unique, initAnswer(body));
    case OPCODE.lookup: {
      const found = node === ROOT_ID ? names.get(lookupName(body)) : undefined;
      return found === undefined
        ? fail(unique, ERRNO.noEntry)
        : reply(unique, entryAnswer(attributesOf(found)));
    }
    case OPCODE.getattr: {
      const found = nodes.get(node);
      if (node === ROOT_ID) return reply(unique, attributeAnswer({ node, size: 0, isDirectory: true }));
      return found === undefined
        ? fail(unique, ERRNO.noEntry)
        : reply(unique, attributeAnswer(attributesOf(found)));
    }
    case OPCODE.open:
      return nodes.has(node) ? reply(unique, openAnswer()) : fail(unique, ERRNO.noEntry);
    case OPCODE.read:
      return read(asked);
    case OPCODE.release:
      tell({ type: 'released', node });
      return reply(unique);
    case OPCODE.statfs:
      return reply(unique, statfsAnswer());
    case OPCODE.opendir:
      return reply(unique, Buffer.alloc(16));
    case OPCODE.readdir:
    case OPCODE.releasedir:
    case OPCODE.flush:
    case OPCODE.access:
    case OPCODE.destroy:
      return reply(unique);
    default:
      return fail(unique, ERRNO.noSystemCall);
  }
}

function attributesOf({ node, image }: ServedNode): { node: number; size: number; isDirectory: boolean } {
  return { node, size: image.table.imageBytes, isDirectory: false };
}

function read({ unique, node: id, body }: FuseRequest): void {
  const { offset, size } = readRange(body);
  const node = nodes.get(id);
  if (node === undefined || size > READ_BYTES_MAX) return fail(unique, ERRNO.io);
  const { image, counters } = node;
  const length = fillSkeleton(image, offset, size, data);
  let isWhole = true;
  let diskChunks = 0;
  let diskBytes = 0;
  for (const part of overlaps(image, offset, length)) {
    touch(node, part.chunk);
    touchBlocks(node, offset + part.to, part.length);
    if (isWhole && (readPlaced(image.places, part.chunk, part) || readPacked(node, offset, part))) {
      diskChunks += 1;
      diskBytes += part.length;
    } else {
      isWhole = false;
    }
  }
  Atomics.add(counters, COUNTER.reads, 1n);
  Atomics.add(counters, COUNTER.readBytes, BigInt(length));
  if (!isWhole) {
    Atomics.add(counters, COUNTER.waits, 1n);
    tell({ type: 'read', unique, node: id, offset, size });
    return;
  }
  Atomics.add(counters, COUNTER.diskChunks, BigInt(diskChunks));
  Atomics.add(counters, COUNTER.diskBytes, BigInt(diskBytes));
  reply(unique, data.subarray(0, length));
}

/** A part of something that is on disk in one piece: `from` of it goes to `to` of the answer. */
interface Part {
  readonly from: number;
  readonly to: number;
  readonly length: number;
}

/** From the frames of the pack, if it holds all of the part and they are here. */
function readPacked({ pack }: ServedNode, offset: number, { to, length }: Part): boolean {
  if (pack === undefined) return false;
  const parts = framePartsOf(pack, offset + to, length);
  return (
    parts?.every(({ frame, ...part }) => readPlaced(pack.places, frame, { ...part, to: to + part.to })) ??
    false
  );
}

/** Counted in before the place is looked at again: see `segment-places.ts`. */
function readPlaced(all: Int32Array<SharedArrayBuffer>, index: number, { from, to, length }: Part): boolean {
  const place = Atomics.load(all, index);
  if (place === 0) return false;
  const slot = slotOf(place);
  Atomics.add(places.readers, slot, 1);
  try {
    if (Atomics.load(all, index) !== place) return false;
    if (Atomics.load(places.used, slot) === 0) Atomics.store(places.used, slot, 1);
    const segment = Atomics.load(places.descriptors, slot);
    return readSync(segment, data, to, length, offsetOf(place) + from) === length;
  } catch {
    // The main thread reads it again, and says what is wrong.
    return false;
  } finally {
    Atomics.sub(places.readers, slot, 1);
  }
}

function reply(unique: bigint, body?: Buffer): void {
  writeOutHeader(header, unique, 0, body?.length ?? 0);
  send(body === undefined || body.length === 0 ? [header] : [header, body]);
}

function fail(unique: bigint, error: number): void {
  send([outHeader(unique, error, 0)]);
}

function send(parts: Buffer[]): void {
  try {
    writevSync(descriptor, parts);
  } catch (error) {
    // Whoever asked is gone (ENOENT), or the file system is (ENODEV).
    const code = codeOf(error);
    if (code !== 'ENOENT' && code !== 'ENODEV')
      tell({ type: 'problem', text: `answering the kernel failed: ${code}` });
  }
}

function tell(message: ThreadMessage): void {
  port.postMessage(message);
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}
