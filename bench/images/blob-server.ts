import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import type { BenchContext } from '../context.ts';
import { findProgram, startProgram } from '../machine/program.ts';
import type { ShapedLink } from './shaped-link.ts';

/** At the far end of the link, where nothing else listens. */
const PORT = 80;
const REQUESTS_MAX = 1_000_000;

/** Whether blobs can be sent by a server made for it. */
export function canServeBlobs(): boolean {
  return findProgram('nginx') !== undefined;
}

/**
 * nginx beside the registry, in the part that an object store has beside the registry of a cloud: it sends what the
 * registry sends clients there for. `directory` is the registry's. Gives the address below which files are.
 */
export async function startBlobServer(
  context: BenchContext,
  link: ShapedLink,
  directory: string,
): Promise<string> {
  const own = await context.directory();
  const config = join(own, 'nginx.conf');
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `  ${name}_temp_path ${join(own, name)};`,
  );
  await writeFile(
    config,
    [
      'daemon off;',
      // One process, that goes with whoever started it.
      'master_process off;',
      `pid ${join(own, 'nginx.pid')};`,
      'error_log stderr warn;',
      'events {}',
      'http {',
      '  access_log off;',
      '  sendfile on;',
      '  tcp_nopush on;',
      '  default_type application/octet-stream;',
      `  keepalive_requests ${REQUESTS_MAX};`,
      ...temporary,
      '  server {',
      `    listen ${link.host}:${PORT};`,
      `    root "${directory}";`,
      '  }',
      '}',
      '',
    ].join('\n'),
  );
  const [command, args] = link.beyond(findProgram('nginx') ?? 'nginx', ['-c', config]);
  const running = startProgram(command, args);
  context.onEnd(() => running.stop());
  const address = `http://${link.host}:${PORT}/`;
  await waitFor('nginx to listen', async () => {
    if (running.child.exitCode !== null) throw new Error(`nginx ended:\n${running.output()}`);
    return await answers(address);
  });
  return address;
}

/** Whether something answers there, whatever it is. */
export async function answers(address: string): Promise<boolean> {
  try {
    await (await fetch(address)).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}
