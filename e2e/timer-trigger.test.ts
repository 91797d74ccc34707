import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { startPlatform, temporaryDirectory, type Platform } from '@thaw/testkit/platform.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { openEventCollector, TELLING_FUNCTION } from './support/event-collector.ts';
import { createEventTrigger, triggerStatus } from './support/event-triggers.ts';
import { API, createFunction } from './support/functions.ts';
import { jsonOf } from './support/http-call.ts';
import { signedCall } from './support/signed-call.ts';

const EVERY_SECOND = '* * * * * *';
const KILLS = 3;
const TICKS_BETWEEN = 2;

interface TimerEvent {
  readonly triggerTime: string;
  readonly triggerName: string;
  readonly payload: string;
}

test('a timer runs each of its times once, through every crash', async (t) => {
  const dataDir = await temporaryDirectory(t, 'thaw data ');
  const collector = await openEventCollector(t);
  const ticks = (): number[] => ticksOf(collector.events.map(parseEvent), 'each');
  let platform = await startPlatform(t, { dataDir, isolation: 'process' });
  await createFunction(platform, 'clock', {
    code: TELLING_FUNCTION,
    fields: { environmentVariables: { COLLECTOR: collector.url } },
  });
  await createEventTrigger(platform, 'clock', {
    triggerName: 'each',
    triggerType: 'timer',
    config: { cronExpression: EVERY_SECOND, payload: 'P', catchUp: 'all' },
  });
  for (let kill = 1; kill <= KILLS; kill += 1) {
    const wanted = new Set(ticks()).size + TICKS_BETWEEN;
    await waitFor(`${wanted} ticks`, () => new Set(ticks()).size >= wanted);
    await platform.kill();
    platform = await startPlatform(t, { dataDir, isolation: 'process' });
  }
  const killed = Math.max(...ticks());
  await waitFor('a tick after the last crash', () => Math.max(...ticks()) > killed + 1);
  await pause(platform, 'clock', 'each');
  const tasks = await waitFor('all tasks to end', async () => {
    const listed = await asyncTasks(platform, 'clock');
    return listed.every(({ status }) => status === 'Succeeded') ? listed : undefined;
  });
  const seen = [...new Set(ticks())].toSorted((one, other) => one - other);
  const [first = 0] = seen;
  assert.deepEqual(
    seen,
    Array.from({ length: seen.length }, (_, index) => first + index),
    'every second, none left out',
  );
  assert.equal(tasks.length, seen.length, 'one invocation for each');
  assert.deepEqual(parseEvent(collector.events[0] ?? ''), {
    triggerTime: new Date(first * 1000).toISOString().replace('.000Z', 'Z'),
    triggerName: 'each',
    payload: 'P',
  });
});

test('what was missed while the platform was down is made up for as the timer says', async (t) => {
  const dataDir = await temporaryDirectory(t, 'thaw data ');
  const collector = await openEventCollector(t);
  const ticks = (name: string): number[] => ticksOf(collector.events.map(parseEvent), name);
  const names = ['none', 'last', 'all'] as const;
  const first = await startPlatform(t, { dataDir, isolation: 'process' });
  await createFunction(first, 'clock', {
    code: TELLING_FUNCTION,
    fields: { environmentVariables: { COLLECTOR: collector.url }, instanceConcurrency: 10 },
  });
  for (const catchUp of names) {
    const config = { cronExpression: EVERY_SECOND, catchUp };
    await createEventTrigger(first, 'clock', { triggerName: catchUp, triggerType: 'timer', config });
  }
  await waitFor('all timers to run', () => names.every((name) => ticks(name).length > 0));
  await first.stop();
  const stoppedS = Math.ceil(Date.now() / 1000);
  await waitFor('some seconds to pass', () => Date.now() / 1000 > stoppedS + 4);
  const startedS = Math.floor(Date.now() / 1000);
  const second = await startPlatform(t, { dataDir, isolation: 'process' });
  await waitFor('all timers to run again', () =>
    names.every((name) => Math.max(...ticks(name)) > startedS + 1),
  );
  for (const name of names) await pause(second, 'clock', name);
  await waitFor('all tasks to end', async () =>
    (await asyncTasks(second, 'clock')).every(({ status }) => status === 'Succeeded'),
  );
  const missed = (name: string): number[] => [
    ...new Set(ticks(name).filter((tick) => tick > stoppedS && tick < startedS)),
  ];
  assert.deepEqual(missed('none'), []);
  assert(missed('last').length <= 1, `the last one only: ${missed('last').join(', ')}`);
  const all = Array.from({ length: startedS - stoppedS - 1 }, (_, index) => stoppedS + 1 + index);
  assert.deepEqual(
    missed('all').toSorted((one, other) => one - other),
    all,
  );
});

test('the command line lists, shows, tests, pauses and resumes; s.yaml deploys timers', async (t) => {
  const platform = await startPlatform(t);
  const project = await temporaryDirectory(t);
  await writeFile(
    join(project, 'index.js'),
    `exports.handler = async (event) => {
       const given = JSON.parse(event);
       if (given.payload === 'bad') throw new Error('no such payload');
       return 'got ' + (given.payload ?? given.own);
     };`,
  );
  const yaml = (timer: string): string => `
edition: 3.0.0
name: timers
access: default
resources:
  hello:
    component: fc3
    props:
      functionName: hello
      runtime: nodejs26
      handler: index.handler
      code: .
      triggers:
        - triggerName: nightly
          triggerType: timer
          triggerConfig: ${timer}
`;
  const timer = `{ cronExpression: 'CRON_TZ=Asia/Shanghai 0 0 4 * * *', payload: night, enable: true }`;
  await writeFile(join(project, 's.yaml'), yaml(timer));
  const deploy = (): ReturnType<Platform['thaw']> => platform.thaw(['deploy'], { cwd: project });
  const thaw = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await platform.thaw(args);
    assert.equal(code, 0, stderr);
    return stdout.toString();
  };
  const deployed = await deploy();
  assert.equal(deployed.code, 0, deployed.stderr);
  assert.match(await thaw('trigger', 'list', 'hello'), /nightly +timer +LATEST +active/);
  assert.match(await thaw('trigger', 'list'), /hello +nightly +timer/);
  assert.equal((await thaw('trigger', 'test', 'hello', 'nightly')).trim(), 'got night');
  assert.equal(
    (await thaw('trigger', 'test', 'hello', 'nightly', '-d', '{"own":"event"}')).trim(),
    'got event',
  );
  const sample: TimerEvent = JSON.parse(await thaw('trigger', 'test', 'hello', 'nightly', '--sample'));
  assert.deepEqual([sample.triggerName, sample.payload], ['nightly', 'night']);
  const failed = await platform.thaw(['trigger', 'test', 'hello', 'nightly', '-d', '{"payload":"bad"}']);
  assert.notEqual(failed.code, 0);
  assert.match(failed.stderr, /no such payload/);
  await thaw('trigger', 'pause', 'hello', 'nightly');
  assert.match(await thaw('trigger', 'get', 'hello', 'nightly'), /status +paused/);
  const again = await deploy();
  assert.equal(again.code, 0, again.stderr);
  assert.equal(
    (await triggerStatus(platform, 'hello', 'nightly')).status,
    'paused',
    'a deployment does not resume',
  );
  await thaw('trigger', 'resume', 'hello', 'nightly');
  assert.match(await thaw('trigger', 'get', 'hello', 'nightly'), /status +active/);
  await writeFile(join(project, 's.yaml'), yaml(`{ cronExpression: '0 0 30 2 *' }`));
  const refused = await deploy();
  assert.notEqual(refused.code, 0);
  assert.match(refused.stderr, /cronExpression has 5 fields/);
});

async function pause(platform: Platform, functionName: string, triggerName: string): Promise<void> {
  const path = `/thaw/v1/functions/${functionName}/triggers/${triggerName}/pause`;
  const answer = await signedCall(platform, { method: 'POST', path });
  assert.equal(answer.status, 200, answer.body.toString());
}

/** All of a function: the API gives a page at a time. */
async function asyncTasks(
  platform: Platform,
  functionName: string,
): Promise<{ taskId: string; status: string }[]> {
  const tasks: { taskId: string; status: string }[] = [];
  for (let nextToken: string | undefined = ''; nextToken !== undefined;) {
    const query: string = `limit=100${nextToken === '' ? '' : `&nextToken=${encodeURIComponent(nextToken)}`}`;
    const path = `${API}/functions/${functionName}/async-tasks`;
    const answer = await signedCall(platform, { method: 'GET', path, query });
    assert.equal(answer.status, 200, answer.body.toString());
    const page = jsonOf<{ tasks: { taskId: string; status: string }[]; nextToken?: string }>(answer);
    tasks.push(...page.tasks);
    nextToken = page.nextToken;
  }
  return tasks;
}

function parseEvent(text: string): TimerEvent {
  const event: TimerEvent = JSON.parse(text);
  return event;
}

/** Seconds since 1970, in the order in which their events came. */
function ticksOf(events: readonly TimerEvent[], triggerName: string): number[] {
  return events
    .filter((event) => event.triggerName === triggerName)
    .map((event) => Date.parse(event.triggerTime) / 1000);
}
