import { waitFor } from '@thaw/testkit/wait-for.ts';
import { jsonOf } from '../../e2e/support/http-call.ts';
import { HELLO_EVENT, throughput, type Shot } from '../load/load.ts';
import { deployHello } from '../machine/hello.ts';
import type { Thaw } from '../machine/thaw.ts';
import type { Measurement, Scenario, Verdict } from '../scenario.ts';
import { median } from '../statistics.ts';

const CONNECTIONS = 64;
const DRAIN_MS_MAX = 15 * 60_000;
const API = '/2023-03-30/functions';
/** Works off next to nothing: what it was sent waits. */
const SLOW = 'exports.handler = () => new Promise((done) => setTimeout(done, 1000));';

export const scenario: Scenario = {
  name: 'queue',
  title: 'Asynchronous invocations',
  shows:
    'Asynchronous invocations through an HTTP trigger over 64 connections, each on disk before it is acknowledged: how ' +
    'many a second are taken for a function that is slow; how long the first event of another function then waits until ' +
    'it runs, beside that backlog and without it; and how many are taken while 200,000 of a quick function are worked off.',
  charts: [],

  async run(context) {
    const { thaw, url } = await deployHello(context);
    const slow = await thaw.deploy('slow', { runtime: 'nodejs26', files: { 'index.js': SLOW } });
    await thaw.call({
      method: 'PUT',
      path: `${API}/slow/concurrency`,
      body: '{"reservedConcurrency":2}',
    });
    const headers = { 'x-fc-invocation-type': 'Async' };
    const fill = async (to: string, seconds: number): Promise<{ taken: number; rate: number }> => {
      const shot: Shot = { url: to, headers, body: HELLO_EVENT };
      const outcome = await throughput(shot, { connections: CONNECTIONS, seconds });
      if (outcome.failed > 0) throw new Error(`${outcome.failed} of ${outcome.requests} were not accepted`);
      return { taken: outcome.requests, rate: outcome.requests / outcome.seconds };
    };

    const samples = context.pick(20, 2);
    await firstEvents(thaw, 'warm', 2);
    const idle = await firstEvents(thaw, 'idle', samples);
    const waiting = context.pick(100_000, 100);
    const taken: number[] = [];
    for (let sent = 0; sent < waiting;) {
      const filled = await fill(slow, context.pick(5, 0.2));
      sent += filled.taken;
      taken.push(filled.rate);
    }
    const beside = await firstEvents(thaw, 'beside', samples);

    const backlog = context.pick(200_000, 200);
    const whileDraining: number[] = [];
    const done = (): Promise<number> => thaw.metric('thaw_invocations_total', 'function="hello"');
    const before = await done();
    let sent = 0;
    while (sent < backlog) {
      const filled = await fill(url, context.pick(5, 0.2));
      sent += filled.taken;
      whileDraining.push(filled.rate);
    }
    const left = before + sent - (await done());
    const fromMs = performance.now();
    await waitFor('all to be done', async () => (await done()) >= before + sent, DRAIN_MS_MAX);
    const drainS = (performance.now() - fromMs) / 1000;

    const measurements: Measurement[] = [
      { subject: 'thaw', what: 'taken, little worked off', unit: 'messages/s', values: taken },
      { subject: 'thaw', what: 'taken, worked off meanwhile', unit: 'messages/s', values: whileDraining },
      { subject: 'thaw', what: 'waiting when the last one was taken', unit: '', values: [left] },
      {
        subject: 'thaw',
        what: 'worked off, nothing taken',
        unit: 'messages/s',
        values: left > 0 ? [left / drainS] : [],
      },
      { subject: 'thaw, alone', what: 'first event until it runs', unit: 'ms', values: idle },
      { subject: 'thaw, beside the backlog', what: 'first event until it runs', unit: 'ms', values: beside },
    ];
    const verdicts: Verdict[] = [
      {
        claim: 'durable enqueues',
        sense: 'at least',
        bound: 5_000,
        value: median(taken),
        unit: 'messages/s',
      },
      {
        claim: 'enqueues while a backlog is worked off, against those without',
        sense: 'at least',
        bound: 0.5,
        value: median(whileDraining) / median(taken),
        unit: 'x',
      },
      {
        claim: 'delay of a first event by the backlog of another function',
        sense: 'at most',
        bound: 100,
        value: median(beside) - median(idle),
        unit: 'ms',
      },
    ];
    return { measurements, verdicts, notes: [] };
  },
};

interface Task {
  readonly status: string;
  readonly events: readonly { readonly status: string; readonly timestamp: number }[];
}

/** Milliseconds from the acceptance of each event to its run, one event at a time. */
async function firstEvents(thaw: Thaw, name: string, count: number): Promise<number[]> {
  const values: number[] = [];
  for (let number = 0; number < count; number += 1) {
    const taskId = `${name}-${number}`;
    await thaw.call({
      method: 'POST',
      path: `${API}/hello/invocations`,
      body: HELLO_EVENT,
      headers: { 'x-fc-invocation-type': 'Async', 'x-fc-async-task-id': taskId },
    });
    const task = await waitFor(`${taskId} to be done`, async () => {
      const path = `${API}/hello/async-tasks/${taskId}`;
      const found = jsonOf<Task>(await thaw.call({ method: 'GET', path }));
      return found.status === 'Succeeded' && found;
    });
    const at = (status: string): number =>
      task.events.find((event) => event.status === status)?.timestamp ?? NaN;
    values.push(at('Running') - at('Enqueued'));
  }
  return values;
}
