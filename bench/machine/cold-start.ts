import { setTimeout as sleep } from 'node:timers/promises';
import { send } from '../../e2e/support/http-call.ts';
import type { BenchContext } from '../context.ts';

export interface ColdStart {
  /** As the caller saw it, the connection included. */
  readonly ms: number;
  readonly phases: ReadonlyMap<string, number>;
}

/** Functions are not deployed in the same instant in which they are first called; what is prepared then has its time. */
const REST_MS = 250;

export async function rest(context: BenchContext): Promise<void> {
  await sleep(context.pick(REST_MS, 50));
}

/** The first call of a function. */
export async function coldStart(url: string): Promise<ColdStart> {
  const startMs = performance.now();
  const answer = await send(url, { method: 'POST', path: new URL(url).pathname, body: '{}' });
  const ms = performance.now() - startMs;
  if (answer.status !== 200) throw new Error(`${url} answers ${answer.status}: ${answer.body.toString()}`);
  return { ms, phases: phasesOf(String(answer.headers['server-timing'] ?? '')) };
}

/** `Server-Timing` as durations by name. */
export function phasesOf(text: string): Map<string, number> {
  return new Map(
    [...text.matchAll(/(\w+);dur=([\d.]+)/g)].map(([, name = '', ms]): [string, number] => [
      name,
      Number(ms),
    ]),
  );
}
