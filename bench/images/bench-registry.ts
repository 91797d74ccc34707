import { glob, mkdir, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { PACK_TAG } from '@thaw/daemon/image/copies/layer-copies.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import type { BenchContext } from '../context.ts';
import { findProgram, runProgram, startProgram } from '../machine/program.ts';
import { answers, canServeBlobs, startBlobServer } from './blob-server.ts';
import type { ShapedLink } from './shaped-link.ts';

const START_MS_MAX = 30_000;
/** For gigabytes from a slow disk. */
const HOLD_MS_MAX = 300_000;
/** At the far end of the link, where nothing else listens. */
const PORT = 5000;
const HELD_FILES = join(import.meta.dirname, 'held-files.py');

export interface BenchRegistry {
  /** Behind the link, as images are named that come from there. */
  readonly address: string;
  /** The same without the delay. */
  readonly nearAddress: string;
  has(repository: string, tag: string): Promise<boolean>;
  /** Copies `oci:<directory>:<tag>` there. */
  push(layout: string, repository: string, tag: string): Promise<void>;
  /** What it has now stays in memory until the context ends, whatever becomes of the machine's caches. */
  hold(context: BenchContext): Promise<void>;
}

/** What the registry needs and this machine lacks, or undefined. */
export function missingForRegistry(): string | undefined {
  const missing = ['docker-registry', 'skopeo'].filter((name) => findProgram(name) === undefined);
  return missing.length === 0 ? undefined : `this machine has no ${missing.join(', ')}`;
}

/** Debian's registry at the far end of a link. What was pushed stays in `directory` for the next run, but for packs. */
export async function startBenchRegistry(
  context: BenchContext,
  link: ShapedLink,
  directory: string,
): Promise<BenchRegistry> {
  const data = join(directory, 'data');
  await mkdir(data, { recursive: true });
  await removePacks(join(data, 'docker/registry/v2'));
  const blobs = canServeBlobs() ? await startBlobServer(context, link, data) : undefined;
  const redirect = [
    'middleware:',
    '  storage:',
    '    - name: redirect',
    '      options:',
    `        baseurl: ${blobs}`,
  ];
  const config = join(await context.directory(), 'registry.yml');
  await writeFile(
    config,
    [
      'version: 0.1',
      'log:',
      '  level: error',
      '  accesslog:',
      '    disabled: true',
      'storage:',
      '  cache:',
      '    blobdescriptor: inmemory',
      '  filesystem:',
      `    rootdirectory: ${data}`,
      ...(blobs === undefined ? [] : redirect),
      'http:',
      `  addr: 0.0.0.0:${PORT}`,
      '',
    ].join('\n'),
  );
  const registry = findProgram('docker-registry') ?? 'docker-registry';
  const [command, args] = link.beyond(registry, ['serve', config]);
  const running = startProgram(command, args);
  context.onEnd(() => running.stop());
  const nearAddress = `${link.nearHost}:${PORT}`;
  await waitFor(
    'the registry to listen',
    async () => {
      if (running.child.exitCode !== null) throw new Error(`the registry ended:\n${running.output()}`);
      return await answers(`http://${nearAddress}/v2/`);
    },
    START_MS_MAX,
  );
  return {
    address: `${link.host}:${PORT}`,
    nearAddress,
    has: async (repository, tag) => {
      const answer = await fetch(`http://${nearAddress}/v2/${repository}/manifests/${tag}`, {
        headers: { accept: 'application/vnd.oci.image.manifest.v1+json' },
      });
      await answer.arrayBuffer();
      return answer.status === 200;
    },
    push: async (layout, repository, tag) => {
      const to = `docker://${nearAddress}/${repository}:${tag}`;
      const { code, stderr } = await runProgram('skopeo', [
        'copy',
        '--quiet',
        '--dest-tls-verify=false',
        layout,
        to,
      ]);
      if (code !== 0) throw new Error(`skopeo could not copy ${layout}: ${stderr}`);
    },
    hold: async (until) => {
      const files: string[] = [];
      for await (const file of glob(join(data, 'docker/registry/v2/blobs/**/data'))) files.push(file);
      const holder = startProgram('python3', [HELD_FILES], { stdio: ['pipe', 'pipe', 'pipe'] });
      until.onEnd(() => holder.stop());
      // Who does not read it has ended, and says why.
      holder.child.stdin?.on('error', () => undefined);
      holder.child.stdin?.write(`${files.join('\n')}\n\n`);
      await waitFor(
        'the files of the registry to be in memory',
        () => {
          if (holder.child.exitCode !== null) throw new Error(`files are not held: ${holder.output()}`);
          return holder.output().includes('ready');
        },
        HOLD_MS_MAX,
      );
    },
  };
}

/** Each run records anew, and nobody asks for the packs of an earlier one: a repository's retention, as an operator has it. */
async function removePacks(root: string): Promise<void> {
  for await (const tag of glob(join(root, 'repositories/**/_manifests/tags', `${PACK_TAG}*`))) {
    const digest = basename(tag).slice(PACK_TAG.length);
    const repository = dirname(dirname(dirname(tag)));
    const blob = join(root, 'blobs/sha256', digest.slice(0, 2), digest);
    for (const gone of [tag, join(repository, '_layers/sha256', digest), blob])
      await rm(gone, { recursive: true, force: true });
  }
}
