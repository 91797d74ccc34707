import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startPlatform, type CommandResult } from '@thaw/testkit/platform.ts';
import { submit, taskIn } from './support/async-calls.ts';
import { API, createFunction, putSetting } from './support/functions.ts';
import { signedCall } from './support/signed-call.ts';

const WORKER = `
exports.handler = async (event) => {
  if (process.env.BROKEN === 'yes') throw new TypeError('broken for now');
  return 'did ' + event.toString();
};`;

interface Letters {
  readonly deadLetters: readonly { readonly functionName: string; readonly taskId: string }[];
}

interface Redriven {
  readonly redriven: readonly { readonly taskId: string; readonly newTaskId: string }[];
}

function jsonIn({ code, stdout, stderr }: CommandResult): ReturnType<typeof JSON.parse> {
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout.toString());
}

test('dead letters of all functions are listed, shown, redriven and purged', async (t) => {
  const platform = await startPlatform(t);
  const dead = async (...args: string[]): Promise<string[]> => {
    const listed = await platform.thaw(['dead-letter', 'list', ...args, '--json']);
    const { deadLetters }: Letters = jsonIn(listed);
    return deadLetters.map(({ functionName, taskId }) => `${functionName} ${taskId}`).toSorted();
  };
  for (const name of ['one', 'two']) {
    await createFunction(platform, name, {
      code: WORKER,
      fields: { environmentVariables: { BROKEN: 'yes' } },
    });
    await putSetting(platform, `${name}/async-invoke-config`, { maxAsyncRetryAttempts: 0 });
    for (const id of ['a', 'b']) {
      await submit(platform, name, { taskId: id, body: `${name}-${id}` });
      await taskIn(platform, 'Failed', name, id);
    }
  }
  assert.deepEqual(await dead(), ['one a', 'one b', 'two a', 'two b']);
  assert.deepEqual(await dead('one'), ['one a', 'one b']);

  const shown: Record<string, unknown> = jsonIn(
    await platform.thaw(['dead-letter', 'get', 'one', 'a', '--json']),
  );
  assert.deepEqual(
    [shown['payload'], shown['tries'], shown['status'], shown['trigger']],
    ['one-a', 1, 'Failed', 'api'],
  );
  assert.match(JSON.stringify(shown['error']), /TypeError.*broken for now|broken for now.*TypeError/);
  assert.match((await platform.thaw(['dead-letter', 'get', 'one', 'a'])).stdout.toString(), /one-a/);

  await putSetting(platform, 'one', { environmentVariables: { BROKEN: 'no' } });
  const first: Redriven = jsonIn(await platform.thaw(['dead-letter', 'redrive', 'one', 'a', '--json']));
  const newId = first.redriven[0]?.newTaskId ?? '';
  const path = `${API}/functions/one/async-tasks/a`;
  const old = await signedCall(platform, { method: 'GET', path });
  assert.match(old.body.toString(), new RegExp(`redriven as ${newId}`));
  const again = await taskIn(platform, 'Succeeded', 'one', newId);
  assert.equal(again.returnPayload, 'did one-a');
  const twice = await platform.thaw(['dead-letter', 'redrive', 'one', 'a']);
  assert.notEqual(twice.code, 0);
  assert.match(twice.stderr, /no dead letter 'a'/);
  assert.notEqual(
    (await platform.thaw(['dead-letter', 'redrive', 'one'])).code,
    0,
    'it takes --all to mean all',
  );

  await putSetting(platform, 'two', { environmentVariables: { BROKEN: 'no' } });
  const all: Redriven = jsonIn(await platform.thaw(['dead-letter', 'redrive', 'two', '--all', '--json']));
  assert.deepEqual(all.redriven.map(({ taskId }) => taskId).toSorted(), ['a', 'b']);
  for (const { newTaskId } of all.redriven) await taskIn(platform, 'Succeeded', 'two', newTaskId);
  assert.deepEqual(await dead(), ['one b']);

  assert.equal((await platform.thaw(['dead-letter', 'purge', '--all'])).code, 0);
  assert.deepEqual(await dead(), []);
});
