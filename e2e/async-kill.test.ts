import assert from 'node:assert/strict';
import { Agent } from 'node:http';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { startPlatform, temporaryDirectory, type Platform } from '@thaw/testkit/platform.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { invokeLater, listTasks } from './support/async-calls.ts';
import { createFunction } from './support/functions.ts';

/** The figure that is promised is 10,000 invocations and 50 kills; here a smaller one shows the same in less time. */
const TASKS = Number(process.env['THAW_TEST_ASYNC_TASKS'] ?? 240);
const KILLS = Number(process.env['THAW_TEST_ASYNC_KILLS'] ?? 3);
const CONNECTIONS = 16;
const END_MS_MAX = 60_000 + TASKS * 20;
const FINAL = new Set(['Succeeded', 'Failed', 'Stopped', 'Expired', 'Invalid']);

/**
 * Writes when it begins and when it ends. Whoever begins a task holds a file with its process; one that finds it held
 * by a process that lives, its own included, has caught the platform running the task twice at once. One in ten fails
 * the first time.
 */
const TRACER = `
const fs = require('node:fs');
const { TRACE } = process.env;
const bornAt = (pid) => {
  try {
    const stat = fs.readFileSync('/proc/' + pid + '/stat', 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
};
const self = process.pid + ' ' + bornAt(process.pid);
const tell = (what, id) => fs.appendFileSync(TRACE + '/trace', what + ' ' + id + '\\n');
exports.handler = async (event) => {
  const id = event.toString();
  const file = TRACE + '/' + id;
  try {
    fs.writeFileSync(file, self, { flag: 'wx' });
  } catch {
    const [pid, born] = fs.readFileSync(file, 'utf8').split(' ');
    if (born !== undefined && bornAt(pid) === born) tell('twice', id);
    fs.writeFileSync(file, self);
  }
  tell('begin', id);
  await new Promise((resolve) => setTimeout(resolve, Math.random() * 40));
  fs.rmSync(file, { force: true });
  if (id.endsWith('7') && !fs.existsSync(TRACE + '/failed-' + id)) {
    fs.writeFileSync(TRACE + '/failed-' + id, '');
    throw new Error('the first time it fails');
  }
  tell('end', id);
  return 'done ' + id;
};`;

test('asynchronous invocations survive kill -9: none lost, none stuck, none twice at once', async (t) => {
  const dataDir = await temporaryDirectory(t, 'thaw data ');
  const trace = await temporaryDirectory(t, 'thaw-trace-');
  const ids = Array.from({ length: TASKS }, (_, n) => `task-${n}`);
  const accepted = new Set<string>();
  const endedTasks = async (): Promise<Set<string>> => new Set(await traced(trace, 'end'));

  let platform = await startPlatform(t, { dataDir, isolation: 'process' });
  await createFunction(platform, 'tracer', {
    code: TRACER,
    fields: { instanceConcurrency: 4, environmentVariables: { TRACE: trace } },
  });
  for (let kill = 1; kill <= KILLS; kill += 1) {
    const ended = (await endedTasks()).size;
    const submitted = Math.ceil((TASKS * kill) / KILLS);
    const submitting = submitAll(platform, ids, accepted, submitted);
    if (Math.random() < 0.7) {
      // In the middle of the work.
      const goal = ended + 1 + Math.floor(Math.random() * 0.7 * (submitted - ended));
      await waitFor(
        `${goal} tasks to have ended`,
        async () => (await endedTasks()).size >= Math.min(goal, submitted),
        END_MS_MAX,
      );
    } else {
      // In the middle of the acceptance.
      const goal = accepted.size + Math.floor(Math.random() * (submitted - accepted.size));
      await waitFor(`${goal} tasks to be accepted`, () => accepted.size >= goal, END_MS_MAX);
    }
    await platform.kill();
    await submitting.over;
    platform = await startPlatform(t, { dataDir, isolation: 'process' });
  }
  await submitAll(platform, ids, accepted, TASKS).over;
  assert.equal(accepted.size, TASKS);

  // In one look at each task: one that moves on between two looks, each for another state, is in neither.
  const tasks = await waitFor(
    'every task to have ended',
    async () => {
      const found = await listTasks(platform, 'tracer');
      return found.every(({ status }) => FINAL.has(status)) && found;
    },
    END_MS_MAX,
  );
  assert.deepEqual(
    tasks.filter(({ status }) => status !== 'Succeeded'),
    [],
  );
  assert.deepEqual(new Set(tasks.map(({ taskId }) => taskId)), new Set(ids));
  assert.deepEqual(await endedTasks(), new Set(ids), 'each has run to its end');
  assert.deepEqual(await traced(trace, 'twice'), []);
  const runs = await traced(trace, 'begin');
  t.diagnostic(`${TASKS} tasks, ${KILLS} kills, ${runs.length} runs`);
});

/** Submits until `goal` are accepted or the platform is gone; what was not answered is submitted again by the next. */
function submitAll(
  platform: Platform,
  ids: readonly string[],
  accepted: Set<string>,
  goal: number,
): { readonly over: Promise<unknown> } {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  const open = ids
    .slice(0, goal)
    .filter((id) => !accepted.has(id))
    .values();
  let isGone = false;
  const work = async (): Promise<void> => {
    for (const id of open) {
      if (isGone) return;
      try {
        const { status, headers, body } = await invokeLater(platform, 'tracer', {
          taskId: id,
          body: id,
          agent,
        });
        assert.equal(status, 202, body.toString());
        assert.equal(headers['x-fc-async-task-id'], id);
        accepted.add(id);
      } catch (error) {
        if (error instanceof assert.AssertionError) throw error;
        // The connection broke: whether it was accepted, nobody knows.
        isGone = true;
      }
    }
  };
  return { over: Promise.all(Array.from({ length: CONNECTIONS }, work)).finally(() => agent.destroy()) };
}

async function traced(directory: string, what: string): Promise<string[]> {
  const text = await readFile(join(directory, 'trace'), 'utf8').catch(() => '');
  return text
    .split('\n')
    .filter((line) => line.startsWith(`${what} `))
    .map((line) => line.slice(what.length + 1));
}
