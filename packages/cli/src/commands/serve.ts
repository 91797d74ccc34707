import { resolve } from 'node:path';
import type { Command } from '../command.ts';
import {
  parseBytes,
  parseBytesOrOff,
  parseHosts,
  parseIdleNetworks,
  parseLoadAhead,
  parsePort,
  parseSpareNetworks,
  parseStems,
} from '../option-values.ts';

interface Options {
  readonly host: string;
  readonly port: number;
  readonly isolation: 'auto' | 'bubblewrap' | 'process';
  readonly stems?: number | undefined;
  readonly loadAhead?: number | undefined;
  readonly prepare: 'on' | 'off';
  readonly keepAlive: 'fixed' | 'rhythm';
  readonly acceptFirst: 'on' | 'off';
  readonly kernelThread: 'on' | 'off';
  readonly sandboxMaker: 'on' | 'off';
  readonly pythonZygotes: 'on' | 'off';
  readonly spareNetworks?: number | undefined;
  readonly idleNetworks?: number | undefined;
  readonly smallRequests: 'on' | 'off';
  readonly bufferCollection: 'on' | 'off';
  readonly insecureRegistry?: readonly string[] | undefined;
  readonly imageCache?: number | undefined;
  readonly lazyImages: 'on' | 'off';
  readonly imagePrefetch?: number | undefined;
  readonly imageZone?: string | undefined;
  readonly imageCopies?: string | undefined;
  readonly destinationHosts?: readonly string[] | undefined;
  readonly watchDir?: readonly string[] | undefined;
}

export const command: Command = {
  name: 'serve',
  summary: 'run the platform on this machine',
  details: 'Runs until it is interrupted. Everything it keeps is in its data directory.',
  options: [
    { flags: '--host <address>', summary: 'address to listen on', default: '127.0.0.1' },
    {
      flags: '--port <number>',
      summary: 'port to listen on; 0 takes a free one',
      default: 8080,
      parse: parsePort,
    },
    {
      flags: '--isolation <kind>',
      summary: 'what keeps functions apart; auto takes bubblewrap where it works',
      default: 'auto',
      choices: ['auto', 'bubblewrap', 'process'],
    },
    {
      flags: '--stems <number>',
      summary: 'booted runtimes kept ready for each kind of function; off or 0 for none (default: 2)',
      parse: parseStems,
    },
    {
      flags: '--load-ahead <number>',
      summary: 'versions whose code is kept loaded in a stem; off or 0 for none (default: 8)',
      parse: parseLoadAhead,
    },
    {
      flags: '--insecure-registry <hosts>',
      summary: 'registries of images to be asked over plain HTTP (host or host:port, with commas between)',
      parse: parseHosts,
    },
    {
      flags: '--image-cache <size>',
      summary: 'how much of the disk parts of images may take (default: 10G)',
      parse: parseBytes,
    },
    {
      flags: '--lazy-images <when>',
      summary: 'start functions in images before the whole image is here',
      default: 'on',
      choices: ['on', 'off'],
    },
    {
      flags: '--image-prefetch <size>',
      summary: 'how much may be fetched ahead of images in a second; off or 0 for nothing (default: 128M)',
      parse: parseBytesOrOff,
    },
    {
      flags: '--image-zone <file>',
      summary: 'nodes that fetch parts of images for each other: JSON with self, nodes and secret',
    },
    {
      flags: '--image-copies <file>',
      summary:
        'repository for converted layers and packs of first reads: JSON with repository, userName, password',
    },
    {
      flags: '--destination-hosts <hosts>',
      summary:
        'private or loopback hosts that outcomes may be sent to (host or host:port, with commas between)',
      parse: parseHosts,
    },
    {
      flags: '--watch-dir <directory>',
      summary: 'a directory below which triggers may watch files; may be given several times',
      many: true,
    },
    {
      flags: '--prepare <when>',
      summary: 'compile code ahead, after a deployment (Node, Python, Java)',
      default: 'on',
      choices: ['on', 'off'],
    },
    {
      flags: '--keep-alive <policy>',
      summary: 'how long idle instances stay: five minutes, or by when each function is usually called',
      default: 'rhythm',
      choices: ['rhythm', 'fixed'],
    },
    {
      flags: '--small-requests <when>',
      summary: 'read plain requests with a short body on a path of their own, faster than the HTTP server',
      default: 'on',
      choices: ['on', 'off'],
    },
    {
      flags: '--buffer-collection <when>',
      summary: 'collect the buffers of large bodies by themselves instead of with the whole heap',
      default: 'on',
      choices: ['on', 'off'],
    },
    {
      flags: '--kernel-thread <when>',
      summary: 'make networks of sandboxes by system calls of a thread, faster than by programs',
      default: 'on',
      choices: ['on', 'off'],
    },
    {
      flags: '--sandbox-maker <when>',
      summary: 'make sandboxes of Node by a resident Python, at less cost than by a program for each',
      default: 'on',
      choices: ['on', 'off'],
    },
    {
      flags: '--python-zygotes <when>',
      summary: 'fork stems of Python from an interpreter that has booted',
      default: 'on',
      choices: ['on', 'off'],
    },
    {
      flags: '--spare-networks <number>',
      summary: 'networks of sandboxes made ahead of use; off or 0 for none (default: 16)',
      parse: parseSpareNetworks,
    },
    {
      flags: '--idle-networks <number>',
      summary:
        'the same while nothing is started, for a burst; off or 0 for no more (default: by the memory)',
      parse: parseIdleNetworks,
    },
    {
      flags: '--accept-first <when>',
      summary: 'begin waiting invocations more slowly while many others are being accepted',
      default: 'on',
      choices: ['on', 'off'],
    },
  ],
  examples: [
    { run: 'thaw serve', does: 'listen on http://127.0.0.1:8080' },
    { run: 'thaw serve --port 0 --data-dir ./data', does: 'a second platform, on a free port' },
  ],
  ownsSignals: true,
  run: async (
    { dataDir },
    _args,
    {
      host,
      port,
      isolation,
      stems,
      loadAhead,
      prepare,
      keepAlive,
      acceptFirst,
      kernelThread,
      sandboxMaker,
      pythonZygotes,
      spareNetworks,
      idleNetworks,
      smallRequests,
      bufferCollection,
      insecureRegistry,
      destinationHosts,
      watchDir,
      imageCache,
      lazyImages,
      imagePrefetch,
      imageZone,
      imageCopies,
    }: Options,
  ) => {
    const { serve } = await import('@thaw/daemon/main.ts');
    await serve({
      host,
      port,
      dataDir,
      isolation,
      stems,
      loadAhead,
      preparesCode: prepare === 'on',
      keepAlive,
      acceptsFirst: acceptFirst === 'on',
      usesKernelThread: kernelThread === 'on',
      makesSandboxes: sandboxMaker === 'on',
      forksPython: pythonZygotes === 'on',
      spareNetworks,
      idleNetworks,
      readsSmallRequests: smallRequests === 'on',
      collectsBuffers: bufferCollection === 'on',
      insecureRegistries: insecureRegistry ?? [],
      destinationHosts: destinationHosts ?? [],
      imageCacheBytesMax: imageCache,
      mountsLazily: lazyImages === 'on',
      imagePrefetchBytesPerSecondMax: imagePrefetch,
      imageZoneFile: imageZone,
      imageCopiesFile: imageCopies,
      watchDirs: (watchDir ?? []).map((directory) => resolve(directory)),
    });
  },
};
