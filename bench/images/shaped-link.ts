import { fork } from 'node:child_process';
import { join } from 'node:path';
import type { BenchContext } from '../context.ts';
import type { LinkMessage, LinkSettings } from './shaped-link-main.ts';

const FILE = join(import.meta.dirname, 'shaped-link-main.ts');

export interface ShapedLink {
  readonly port: number;
  /** Bytes that came over it so far, headers of answers included. */
  bytes(): Promise<number>;
}

/**
 * Stands between a registry and those who ask it. Kernels shape with `tc`, but only those with `netem` delay, which many
 * are built without; a process that passes bytes on in time does it everywhere, and needs no right.
 */
export async function startShapedLink(context: BenchContext, settings: LinkSettings): Promise<ShapedLink> {
  const child = fork(FILE, [JSON.stringify(settings)], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
  });
  context.onEnd(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  const next = async (): Promise<LinkMessage> =>
    await new Promise((resolve, reject) => {
      child.once('message', (message: LinkMessage) => resolve(message));
      void ended.then(() => reject(new Error('the shaped link ended')));
    });
  const first = await next();
  if (first.type !== 'listening') throw new Error('the shaped link does not listen');
  return {
    port: first.port,
    bytes: async () => {
      const answered = next();
      child.send('count');
      const counted = await answered;
      return counted.type === 'counted' ? counted.bytes : 0;
    },
  };
}
