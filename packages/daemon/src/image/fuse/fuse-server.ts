import { writeSync, writevSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { MessageChannel, Worker, type MessagePort } from 'node:worker_threads';
import type { SegmentPlaces } from '../tiers/segment-places.ts';
import type { ThreadData } from './fuse-thread.ts';
import { ERRNO, outHeader, resendNotification } from './fuse-wire.ts';
import {
  fillSkeleton,
  framePartsOf,
  imageMessage,
  nodeMessage,
  overlaps,
  packMessage,
  type FramePart,
  type ServedNode,
  type ServedPack,
  type ServerMessage,
  type ThreadMessage,
} from './served-image.ts';

const THREADS_MAX = 4;
const THREAD_FILE = new URL('fuse-thread.ts', import.meta.url);

export interface FuseServerOptions {
  readonly descriptor: number;
  readonly places: SegmentPlaces;
  /** The plain bytes of a chunk, wherever they come from. */
  readonly requireChunk: (node: ServedNode, chunk: number) => Promise<Buffer>;
  /** Those of a frame of the pack that the node has; undefined where it has another by now, or cannot have this one. */
  readonly requireFrame: (node: ServedNode, pack: ServedPack, frame: number) => Promise<Buffer | undefined>;
  /** The kernel closed the file: nothing reads it any more. */
  readonly onReleased: (node: number) => void;
  readonly onProblem: (text: string, cause?: unknown) => void;
}

/**
 * The server of one FUSE file system: a flat directory of image files. Threads answer what they can; this answers what
 * had to be fetched. Who serves first and who takes over after a crash do the same: nodes keep their numbers.
 */
export class FuseServer {
  readonly #options: FuseServerOptions;
  readonly #threads: {
    readonly worker: Worker;
    readonly port: MessagePort;
    readonly ended: Promise<void>;
  }[] = [];
  readonly #nodes = new Map<number, ServedNode>();

  constructor(options: FuseServerOptions) {
    this.#options = options;
  }

  /** Threads begin to answer. Images and nodes that the kernel knows already are added before. */
  start(): void {
    const count = Math.max(2, Math.min(THREADS_MAX, availableParallelism()));
    for (let thread = 0; thread < count; thread += 1) this.#startThread();
    for (const message of this.#known()) this.#tell(message);
  }

  /** After a crash of another process that served before: what it took and did not answer comes again. */
  resend(): void {
    try {
      writeSync(this.#options.descriptor, resendNotification());
    } catch (error) {
      // Kernels before 6.9 know no resending: what was under way then ends with its readers' time.
      this.#options.onProblem('the kernel does not send requests again', error);
    }
  }

  addNode(node: ServedNode): void {
    const isNewImage = ![...this.#nodes.values()].some(({ image }) => image === node.image);
    this.#nodes.set(node.node, node);
    if (isNewImage) this.#tell(imageMessage(node.image));
    this.#tell(nodeMessage(node));
  }

  /** What the pack of the node is has changed. */
  tellPack(node: ServedNode): void {
    this.#tell(packMessage(node));
  }

  /** Once the kernel has let go of it. */
  removeNode(id: number): void {
    const node = this.#nodes.get(id);
    if (node === undefined) return;
    this.#nodes.delete(id);
    this.#tell({ type: 'removeNode', node: id });
    const isUsed = [...this.#nodes.values()].some(({ image }) => image === node.image);
    if (!isUsed) this.#tell({ type: 'removeImage', id: node.image.id });
  }

  /** Resolves when the file system is gone and no thread waits in the kernel any more. */
  async ended(): Promise<void> {
    await Promise.all(this.#threads.map(({ ended }) => ended));
  }

  *#known(): Generator<ServerMessage> {
    const images = new Set([...this.#nodes.values()].map(({ image }) => image));
    for (const image of images) yield imageMessage(image);
    for (const node of this.#nodes.values()) {
      yield nodeMessage(node);
      yield packMessage(node);
    }
  }

  #startThread(): void {
    const { descriptor, places } = this.#options;
    const { port1: port, port2 } = new MessageChannel();
    const data: ThreadData = { descriptor, port: port2, places };
    const worker = new Worker(THREAD_FILE, { workerData: data, transferList: [port2] });
    const ended = new Promise<void>((resolve) => {
      worker.once('exit', () => resolve());
    });
    worker.on('error', (error) => this.#options.onProblem('a thread that answers the kernel died', error));
    port.on('message', (message: ThreadMessage) => this.#receive(message));
    this.#threads.push({ worker, port, ended });
  }

  #tell(message: ServerMessage): void {
    for (const { port } of this.#threads) port.postMessage(message);
  }

  #receive(message: ThreadMessage): void {
    switch (message.type) {
      case 'read':
        void this.#read(message);
        return;
      case 'released':
        this.#options.onReleased(message.node);
        return;
      case 'problem':
        this.#options.onProblem(message.text);
    }
  }

  async #read({ unique, node: id, offset, size }: Extract<ThreadMessage, { type: 'read' }>): Promise<void> {
    const node = this.#nodes.get(id);
    if (node === undefined) {
      this.#send([outHeader(unique, ERRNO.io, 0)]);
      return;
    }
    try {
      const { image } = node;
      const data = Buffer.allocUnsafe(size);
      const length = fillSkeleton(image, offset, size, data);
      await Promise.all(
        [...overlaps(image, offset, length)].map(async ({ chunk, from, to, length: bytes }) => {
          const target = data.subarray(to, to + bytes);
          // The chunk is nearer when it is here.
          const pack = Atomics.load(image.places, chunk) === 0 ? node.pack : undefined;
          const parts = pack === undefined ? undefined : framePartsOf(pack, offset + to, bytes);
          if (pack !== undefined && parts !== undefined) {
            if (await this.#readFrames(node, pack, parts, target)) return;
          }
          const plain = await this.#options.requireChunk(node, chunk);
          plain.copy(target, 0, from, from + bytes);
        }),
      );
      this.#send([outHeader(unique, 0, length), data.subarray(0, length)]);
    } catch (error) {
      this.#options.onProblem(`a function's read of ${node.name} failed`, error);
      this.#send([outHeader(unique, ERRNO.io, 0)]);
    }
  }

  /** Whether all frames were there. */
  async #readFrames(
    node: ServedNode,
    pack: ServedPack,
    parts: readonly FramePart[],
    target: Buffer,
  ): Promise<boolean> {
    const copied = await Promise.all(
      parts.map(async ({ frame, from, to, length }) => {
        const plain = await this.#options.requireFrame(node, pack, frame);
        plain?.copy(target, to, from, from + length);
        return plain !== undefined;
      }),
    );
    return copied.every(Boolean);
  }

  #send(parts: Buffer[]): void {
    try {
      writevSync(this.#options.descriptor, parts);
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined;
      if (code !== 'ENOENT' && code !== 'ENODEV')
        this.#options.onProblem('answering the kernel failed', error);
    }
  }
}
