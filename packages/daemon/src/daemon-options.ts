import type { PlatformLog } from './base/platform-log.ts';
import type { CopiesOptions } from './image/copies/layer-copies.ts';
import type { ZoneOptions } from './image/imaged/messages.ts';
import type { KeepAlive } from './scheduler/scheduler.ts';
import type { SchedulerLimits } from './scheduler/scheduler-limits.ts';

export interface DaemonOptions {
  readonly host: string;
  /** 0 takes any free one. */
  readonly port: number;
  readonly dataDir: string;
  readonly isolation: 'auto' | 'bubblewrap' | 'process';
  readonly log: PlatformLog;
  readonly limits?: Partial<SchedulerLimits>;
  /** Directories of this machine below which triggers may watch files. */
  readonly watchDirs?: readonly string[];
  /** Registries of images that may be asked over plain HTTP, besides those on the loopback: `host` or `host:port`. */
  readonly insecureRegistries?: readonly string[];
  /** Hosts on the loopback or in private networks that destinations may name: `host` or `host:port`. */
  readonly destinationHosts?: readonly string[];
  /** Booted runtimes kept ready for each kind of function that is deployed; 0: none. */
  readonly stems?: number | undefined;
  /** Versions whose code is kept loaded for their next instance; 0: none. */
  readonly loadAhead?: number | undefined;
  /** Whether code is compiled ahead, after a deployment; absent: it is. */
  readonly preparesCode?: boolean;
  /** Whether small requests are read without node:http; absent: they are. */
  readonly readsSmallRequests?: boolean;
  /** Whether the buffers of bodies are collected by themselves; absent: they are. */
  readonly collectsBuffers?: boolean;
  /** How long idle instances stay; absent: by the rhythm of their function. */
  readonly keepAlive?: KeepAlive;
  /** Whether waiting invocations are begun slowly while many are being accepted; absent: they are. */
  readonly acceptsFirst?: boolean;
  /** Whether a thread of the launcher makes networks; absent: it does, and programs only where it cannot. */
  readonly usesKernelThread?: boolean;
  /** Whether sandboxes of Node are made by a Python of the machine; absent: they are, where it has one. */
  readonly makesSandboxes?: boolean;
  /** Whether Python's stems are forked from an interpreter that has booted; absent: they are, where the machine can. */
  readonly forksPython?: boolean;
  /** Networks made ahead of the sandboxes that will have them; 0: none. */
  readonly spareNetworks?: number | undefined;
  /** The same while nothing is started; 0: no more than otherwise. */
  readonly idleNetworks?: number | undefined;
  /** Whether images are mounted before they are here; absent: they are, where the machine can. */
  readonly mountsLazily?: boolean;
  /** What the parts of images on disk may take together. */
  readonly imageCacheBytesMax?: number | undefined;
  /** 0: nothing of images is fetched ahead. */
  readonly imagePrefetchBytesPerSecondMax?: number | undefined;
  /** Nodes that fetch parts of images for each other. */
  readonly imageZone?: ZoneOptions | undefined;
  /** Where machines leave converted layers for each other. */
  readonly imageCopies?: CopiesOptions | undefined;
}
