import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { ChunkTable } from '../chunks/chunk-table.ts';
import { writeSkeleton } from '../erofs/write-skeleton.ts';
import { READ_BYTES_MAX } from '../fuse/fuse-wire.ts';
import { newServedImage, newServedNode, type ServedNode } from '../fuse/served-image.ts';
import type { MountMethod } from './messages.ts';
import { loopDeviceOf, mountsBelow, runMount, setDirectIo, setReadAhead, unmountBelow } from './run-mount.ts';

/** Number of the file whose mount shows what this machine can do. */
export const PROBE_NODE = 2;
const PROBE_NAME = 'probe';
const METHODS: readonly MountMethod[] = ['file', 'loop'];

export interface ImageMountsOptions {
  /** Below it the FUSE file system is mounted, and whatever is mounted by its full path. */
  readonly directory: string;
  /** Of /dev/fuse. */
  readonly descriptor: number;
  /** To be tried in this order; absent: all. */
  readonly methods: readonly MountMethod[] | undefined;
  /** What the kernel reads around what is asked for. */
  readonly readAroundBytes: number;
  readonly log: (level: 'info', text: string, cause: unknown) => void;
}

/** The mounts of one machine's images: the FUSE directory with a file for each, and EROFS on those files. */
export class ImageMounts {
  /** How EROFS is mounted here, once `findMethod` or a process before this one has found out. */
  method: MountMethod = 'file';
  readonly #options: ImageMountsOptions;

  constructor(options: ImageMountsOptions) {
    this.#options = options;
  }

  /** Number of the FUSE connection; undefined where it is not mounted. */
  get connection(): number | undefined {
    return mountsBelow(this.#fuseDirectory).at(-1)?.minor;
  }

  /** Throws RUNTIME_UNAVAILABLE. */
  async mountFuse(): Promise<void> {
    mkdirSync(this.#fuseDirectory, { recursive: true, mode: 0o700 });
    const options = `fd=3,rootmode=40000,user_id=0,group_id=0,allow_other,ro,max_read=${READ_BYTES_MAX}`;
    try {
      await runMount(
        'mount',
        ['-i', '-t', 'fuse', '-o', options, 'thaw-images', this.#fuseDirectory],
        [this.#options.descriptor],
      );
    } catch (cause) {
      throw unavailable('FUSE file systems cannot be mounted', cause);
    }
  }

  /** Mounts an empty image: what this machine can do is told by doing it. Throws RUNTIME_UNAVAILABLE. */
  async findMethod(serve: (probe: ServedNode) => void): Promise<void> {
    serve(newProbe());
    const mountPoint = join(this.#options.directory, PROBE_NAME);
    mkdirSync(mountPoint, { recursive: true });
    let failure: unknown;
    for (const method of this.#options.methods ?? METHODS) {
      this.method = method;
      try {
        await this.mount(PROBE_NAME, mountPoint);
        readdirSync(mountPoint);
        // Where the kernel refuses a file, mount makes a loop device unasked.
        if (loopDeviceOf(mountPoint) !== undefined) this.method = 'loop';
        await runMount('umount', [mountPoint]);
        return;
      } catch (error) {
        failure = error;
      }
    }
    throw unavailable('EROFS file systems cannot be mounted on FUSE files', failure);
  }

  /** On the file itself where the kernel can (6.12 and later), otherwise through a loop device that goes with the mount. */
  async mount(name: string, mountPoint: string): Promise<void> {
    const isDirect = this.method === 'file';
    const options = isDirect ? 'ro,nodev' : 'ro,nodev,loop';
    const args = ['-t', 'erofs', '-o', options, this.fileOf(name), mountPoint];
    // Without -i a helper could come between.
    await runMount('mount', isDirect ? ['-i', ...args] : args);
    try {
      setReadAhead(mountPoint, this.#options.readAroundBytes);
      await setDirectIo(mountPoint);
    } catch (error) {
      this.#options.log('info', `the image ${name} may be read more slowly than it could be`, error);
    }
  }

  /** The file of an image in the FUSE directory. */
  fileOf(name: string): string {
    return join(this.#fuseDirectory, name);
  }

  /** Who still reads gets errors from then on. */
  async close(): Promise<void> {
    const { connection } = this;
    await unmountBelow(this.#options.directory, 'inside');
    if (connection !== undefined) abortConnection(connection);
  }

  get #fuseDirectory(): string {
    return join(this.#options.directory, 'fuse');
  }
}

/** Whoever waits in the kernel gets an error: the last resort against a server that hangs. */
export function abortConnection(connection: number): void {
  const path = `/sys/fs/fuse/connections/${connection}/abort`;
  if (existsSync(path)) writeFileSync(path, '1');
}

function newProbe(): ServedNode {
  const empty = writeSkeleton(
    {
      kind: 'directory',
      mode: 0o755,
      uid: 0,
      gid: 0,
      mtimeNs: 0n,
      xattrs: new Map(),
      layer: 0,
      children: new Map(),
    },
    (id) => id,
  );
  const table = ChunkTable.of([], { imageBytes: empty.size, skeletonBytes: empty.bytes.length });
  return newServedNode(PROBE_NODE, PROBE_NAME, newServedImage(0, table, empty.bytes), 0);
}

function unavailable(what: string, cause: unknown): ThawError {
  const why = cause instanceof Error ? `: ${cause.message}` : '';
  return new ThawError('RUNTIME_UNAVAILABLE', `${what}${why}`, { cause });
}
