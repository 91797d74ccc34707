import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import type { BenchContext } from '../context.ts';
import { findProgram, runProgram, startProgram } from '../machine/program.ts';

const START_MS_MAX = 30_000;

export interface BenchRegistry {
  readonly port: number;
  has(repository: string, tag: string): Promise<boolean>;
  /** Copies `oci:<directory>:<tag>` there. */
  push(layout: string, repository: string, tag: string): Promise<void>;
}

/** What the registry needs and this machine lacks, or undefined. */
export function missingForRegistry(): string | undefined {
  const missing = ['docker-registry', 'skopeo'].filter((name) => findProgram(name) === undefined);
  return missing.length === 0 ? undefined : `this machine has no ${missing.join(', ')}`;
}

/** Debian's registry on a free port of the loopback. What was pushed stays in `directory` for the next run. */
export async function startBenchRegistry(context: BenchContext, directory: string): Promise<BenchRegistry> {
  const data = join(directory, 'data');
  await mkdir(data, { recursive: true });
  const config = join(await context.directory(), 'registry.yml');
  await writeFile(
    config,
    [
      'version: 0.1',
      'log:',
      '  accesslog:',
      '    disabled: true',
      'storage:',
      '  filesystem:',
      `    rootdirectory: ${data}`,
      'http:',
      '  addr: 127.0.0.1:0',
      '',
    ].join('\n'),
  );
  const running = startProgram(findProgram('docker-registry') ?? 'docker-registry', ['serve', config]);
  context.onEnd(() => running.stop());
  const port = await waitFor(
    'the registry to listen',
    () => {
      if (running.child.exitCode !== null) throw new Error(`the registry ended:\n${running.output()}`);
      return /listening on 127\.0\.0\.1:(\d+)/u.exec(running.output())?.[1];
    },
    START_MS_MAX,
  );
  const address = `127.0.0.1:${port}`;
  return {
    port: Number(port),
    has: async (repository, tag) => {
      const answer = await fetch(`http://${address}/v2/${repository}/manifests/${tag}`, {
        headers: { accept: 'application/vnd.oci.image.manifest.v1+json' },
      });
      await answer.arrayBuffer();
      return answer.status === 200;
    },
    push: async (layout, repository, tag) => {
      const to = `docker://${address}/${repository}:${tag}`;
      const { code, stderr } = await runProgram('skopeo', [
        'copy',
        '--quiet',
        '--dest-tls-verify=false',
        layout,
        to,
      ]);
      if (code !== 0) throw new Error(`skopeo could not copy ${layout}: ${stderr}`);
    },
  };
}
