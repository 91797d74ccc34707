import { join } from 'node:path';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import type { BenchContext } from '../context.ts';
import { startProgram, type Running } from '../machine/program.ts';

export const PROGRAMS = join(import.meta.dirname, '../peers/programs');
export const PACKAGES = join(import.meta.dirname, '../peers/node_modules');

/** Something that answers HTTP at `url`. */
export interface Contestant {
  readonly name: string;
  readonly url: string;
}

/** A peer that cannot take part is a text: why. */
export type Peer = Contestant | string;

export function present(peers: readonly Peer[]): Contestant[] {
  return peers.filter((peer) => typeof peer !== 'string');
}

/** Why the others do not take part. */
export function missing(peers: readonly Peer[]): string[] {
  return peers.filter((peer) => typeof peer === 'string');
}

/** Starts a plain Node server that prints `listening <port>` when it serves. */
export async function startNodeServer(
  context: BenchContext,
  program: string,
  listen: string,
): Promise<{ readonly running: Running; readonly port: number }> {
  const running = startProgram(process.execPath, [join(PROGRAMS, program)], {
    env: { ...process.env, LISTEN: listen, HOST: '127.0.0.1' },
  });
  context.onEnd(() => running.stop());
  const port = await waitFor(`${program} to listen`, () => {
    if (running.child.exitCode !== null) throw new Error(`${program} ended: ${running.output()}`);
    return /listening (\d+)/.exec(running.output())?.[1];
  });
  return { running, port: Number(port) };
}

/** Until the address answers anything at all. */
export async function untilAnswers(url: string, running: Running): Promise<void> {
  await waitFor(`${url} to answer`, async () => {
    if (running.child.exitCode !== null) throw new Error(`the server of ${url} ended: ${running.output()}`);
    try {
      const answer = await fetch(url, { method: 'POST', body: '{}' });
      await answer.arrayBuffer();
      return true;
    } catch {
      return false;
    }
  });
}
