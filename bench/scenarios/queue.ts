import { waitFor } from '@thaw/testkit/wait-for.ts';
import { send } from '../../e2e/support/http-call.ts';
import { sign } from '../../e2e/support/signed-call.ts';
import { runPlan } from '../load/load.ts';
import { deployHello } from '../machine/hello.ts';
import type { Thaw } from '../machine/thaw.ts';
import type { Measurement, Scenario } from '../scenario.ts';

const CONNECTIONS = 64;
/** Requests are signed before they are sent; so many at a time fit into memory. */
const BATCH = 10_000;
const DRAIN_MS_MAX = 15 * 60_000;
const PATH = '/2023-03-30/functions/hello/invocations';
const ACCEPTED = 202;

export const scenario: Scenario = {
  name: 'queue',
  title: 'Asynchronous invocations',
  shows:
    'Asynchronous invocations over 64 connections, each signed, and each on disk before it is acknowledged: how many a ' +
    'second are taken, until 200,000 have come, and how fast what has piled up is then worked off.',
  charts: [],

  async run(context) {
    const { thaw } = await deployHello(context);
    const first = await send(thaw.url, asynchronous(thaw));
    if (first.status !== ACCEPTED) {
      const notes = [
        `this version refuses asynchronous invocations (${first.status}), so nothing is measured`,
      ];
      return { measurements: [], verdicts: [], notes };
    }
    const backlog = context.pick(200_000, 200);
    const rates: number[] = [];
    for (let sent = 0; sent < backlog; sent += BATCH) {
      const count = Math.min(BATCH, backlog - sent);
      const requests = Array.from({ length: count }, () => {
        const { body, headers, ...call } = asynchronous(thaw);
        return { ...call, headers: { ...headers }, body: body.toString('base64') };
      });
      const { hostname, port } = new URL(thaw.url);
      const target = { host: hostname, port: Number(port) };
      const outcome = await runPlan({ target, connections: CONNECTIONS, seconds: 60, count, requests });
      if (outcome.failed > 0) throw new Error(`${outcome.failed} of ${outcome.requests} were not accepted`);
      rates.push(outcome.requests / outcome.seconds);
    }
    const done = (): Promise<number> => thaw.metric('thaw_invocations_total', 'function="hello"');
    const doneBefore = await done();
    const fromMs = performance.now();
    await waitFor('all to be done', async () => (await done()) >= backlog + 1, DRAIN_MS_MAX);
    const drainS = (performance.now() - fromMs) / 1000;
    const left = backlog + 1 - doneBefore;
    const measurements: Measurement[] = [
      { subject: 'thaw', what: 'taken', unit: 'messages/s', values: rates },
      { subject: 'thaw', what: 'backlog when the last one was taken', unit: '', values: [left] },
      ...(left > 0
        ? [{ subject: 'thaw', what: 'worked off', unit: 'messages/s' as const, values: [left / drainS] }]
        : []),
    ];
    return { measurements, verdicts: [], notes: [] };
  },
};

function asynchronous(thaw: Thaw): ReturnType<typeof sign> {
  return sign(thaw, {
    method: 'POST',
    path: PATH,
    body: '{}',
    headers: { 'x-fc-invocation-type': 'Async', 'content-type': 'application/octet-stream' },
  });
}
