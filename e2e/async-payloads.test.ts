import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { startPlatform } from '@thaw/testkit/platform.ts';
import { getTask, invokeLater, listTasks, submit, taskIn } from './support/async-calls.ts';
import { createFunction, invoke } from './support/functions.ts';

const ECHO = `exports.handler = async (event) => event;`;

const COUNTER = `
let runs = 0;
exports.handler = async (event) => {
  if (event.toString() !== 'runs') runs += 1;
  return String(runs);
};`;

test('an id runs once, what cannot be accepted is refused, and every byte comes through', async (t) => {
  const platform = await startPlatform(t);
  await createFunction(platform, 'counter', { code: COUNTER });
  await createFunction(platform, 'echo', { code: ECHO, fields: { memorySize: 512 } });
  const answers = await Promise.all(
    Array.from({ length: 20 }, () => invokeLater(platform, 'counter', { taskId: 'once', body: 'once' })),
  );
  assert.ok(answers.every(({ status }) => status === 202));
  await taskIn(platform, 'Succeeded', 'counter', 'once');
  assert.equal((await invokeLater(platform, 'counter', { taskId: 'once', body: 'again' })).status, 202);
  assert.equal((await listTasks(platform, 'counter')).length, 1);
  assert.equal((await getTask(platform, 'counter', 'once')).taskPayload, 'once');
  assert.equal((await invoke(platform, 'counter', 'runs')).body.toString(), '1');

  const badId = await invokeLater(platform, 'counter', { taskId: '7th' });
  assert.equal(badId.status, 400);
  assert.match(badId.body.toString(), /InvalidArgument.*task id/);
  assert.equal((await invokeLater(platform, 'nobody')).status, 404);
  const tooLarge = await invokeLater(platform, 'echo', { body: Buffer.alloc(64 * 1024 * 1024 + 1) });
  assert.equal(tooLarge.status, 413);
  assert.match(tooLarge.body.toString(), /67108864 bytes/);
  assert.deepEqual(await listTasks(platform, 'echo'), []);

  for (const size of [0, 64 * 1024, 64 * 1024 + 1, 5_000_000]) {
    const body = randomBytes(size);
    const taskId = `bytes-${size}`;
    await submit(platform, 'echo', { taskId, body });
    await taskIn(platform, 'Succeeded', 'echo', taskId);
    const result = await platform.thaw(['task', 'result', 'echo', taskId]);
    assert.equal(result.code, 0, result.stderr);
    assert.ok(result.stdout.equals(body), `${size} bytes came back`);
  }
  const payload = await platform.thaw(['task', 'result', 'echo', 'bytes-5000000', '--payload']);
  assert.equal(payload.stdout.length, 5_000_000);
});
