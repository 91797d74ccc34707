import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { test, type TestContext } from 'node:test';
import { startPlatform, type Platform, type PlatformOptions } from '@thaw/testkit/platform.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { childrenOf, platformMark, processesOf, tracesOf } from './fixtures/host-traces.ts';
import {
  createFunction,
  invoke,
  LANGUAGES,
  waitForStems,
  type FunctionSpec,
  type Language,
} from './support/functions.ts';
import { jsonOf, type Answer } from './support/http-call.ts';
import { signedCall } from './support/signed-call.ts';

interface StemStatus {
  readonly perKind: number;
  readonly kinds: number;
  readonly waiting: number;
  readonly unavailable?: string;
}

const BOTH = Object.keys(LANGUAGES).filter((name): name is Language => name in LANGUAGES);

/** What a function sees of where it runs. */
const LOOK: Record<Language, string> = {
  nodejs: `const fs = require('node:fs');
    exports.handler = async () => ({
      environment: process.env, cwd: process.cwd(), hour: new Date(0).getHours(), pid: process.pid,
      code: fs.readdirSync('/code'), temporary: fs.readdirSync('/tmp'), mark: fs.writeFileSync('/tmp/mark', '') ?? null,
      codeWritable: (() => { try { fs.writeFileSync('/code/x', ''); return true; } catch { return false; } })(),
      first: (() => { try { return fs.readdirSync('/proc/1/root'); } catch (error) { return error.code; } })(),
      firstName: fs.readFileSync('/proc/1/comm', 'utf8').trim(), descriptors: fs.readdirSync('/proc/self/fd').map((fd) => {
        try { return fs.readlinkSync('/proc/self/fd/' + fd); } catch { return ''; } }),
      mounts: fs.readFileSync('/proc/self/mountinfo', 'utf8'), status: fs.readFileSync('/proc/self/status', 'utf8'),
    });`,
  python: `import json, os, time
def writable():
    try:
        open('/code/x', 'w')
        return True
    except OSError:
        return False
def first():
    try:
        return os.listdir('/proc/1/root')
    except OSError as error:
        return type(error).__name__
def handler(event, context):
    temporary = os.listdir('/tmp')
    open('/tmp/mark', 'w')
    return json.dumps({'environment': dict(os.environ), 'cwd': os.getcwd(), 'hour': time.localtime(0).tm_hour,
        'pid': os.getpid(), 'code': os.listdir('/code'), 'temporary': temporary, 'codeWritable': writable(),
        'first': first(), 'mounts': open('/proc/self/mountinfo').read(), 'status': open('/proc/self/status').read()})`,
};

interface Sight {
  readonly environment: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly first: unknown;
  /** Of Node only: the program of process 1, and what is open. */
  readonly firstName?: string;
  readonly descriptors?: readonly string[];
  readonly hour: number;
  readonly code: readonly string[];
  readonly temporary: readonly string[];
  readonly codeWritable: boolean;
  readonly mounts: string;
  readonly status: string;
}

/** Undefined, and the test skipped, where this machine has none. */
async function startWithStems(
  t: TestContext,
  options: PlatformOptions = { stems: 2, needs: ['python-zygotes', 'sandbox-maker'] },
): Promise<Platform | undefined> {
  const platform = await startPlatform(t, options);
  const { unavailable } = await stemsOf(platform);
  if (unavailable === undefined) return platform;
  t.skip(unavailable);
  return undefined;
}

async function stemsOf(platform: Platform): Promise<StemStatus> {
  const answer = await signedCall(platform, { method: 'GET', path: '/thaw/v1/info' });
  return jsonOf<{ stems: StemStatus }>(answer).stems;
}

function isFromStem(answer: Answer): boolean {
  return /\bstem;/.test(String(answer.headers['server-timing']));
}

const TRIES_MAX = 5;
/** Deleting networks waits for locks of the whole machine. */
const CLEARED_MS_MAX = 90_000;

/**
 * Makes a function that nobody has called and calls it, until one has come of a stem: a stem that dies, or is not there
 * on a machine with too much to do, costs time and not the call. Fails with what the log says of the last one's start.
 */
async function firstAnswerFromStem(
  platform: Platform,
  prefix: string,
  spec: FunctionSpec,
  event = '',
): Promise<Answer & { readonly functionName: string }> {
  for (let attempt = 1; ; attempt += 1) {
    const functionName = await createFunction(platform, `${prefix}-${attempt}`, spec);
    await waitForStems(platform);
    const answer = await invoke(platform, functionName, event);
    assert.equal(answer.status, 200, answer.body.toString());
    if (isFromStem(answer)) return { ...answer, functionName };
    if (attempt === TRIES_MAX) assert.fail(await startInLog(platform, functionName));
  }
}

function startInLog(platform: Platform, functionName: string): Promise<string> {
  return waitFor('the start in the log', async () => {
    const path = `/thaw/v1/functions/${functionName}/logs`;
    const text = (await signedCall(platform, { method: 'GET', path })).body.toString();
    return text.includes('timeline: ') ? text : undefined;
  });
}

function instanceOf(answer: Answer): string {
  return String(answer.headers['x-fc-instance-id']);
}

for (const language of BOTH) {
  test(`${language}: what comes of a stem is its function's in everything`, async (t) => {
    const platform = await startWithStems(t);
    if (platform === undefined) return;
    const environmentVariables = { TZ: 'Asia/Tokyo', OWN: 'value', PATH: '/own/bin:/usr/bin' };
    const spec = { code: LOOK[language], language };
    const answer = await firstAnswerFromStem(platform, 'one', { ...spec, fields: { environmentVariables } });
    assert.doesNotMatch(String(answer.headers['server-timing']), /boot;|sandbox;/);
    const sight = jsonOf<Sight>(answer);
    const { environment } = sight;
    assert.deepEqual(
      [environment['OWN'], environment['TZ'], environment['PATH'], environment['FC_INSTANCE_ID']],
      ['value', 'Asia/Tokyo', '/own/bin:/usr/bin', instanceOf(answer)],
    );
    assert.equal(environment['FC_FUNCTION_NAME'], answer.functionName);
    assert.deepEqual(
      Object.keys(environment).filter((name) => name.startsWith('THAW')),
      [],
    );
    assert.equal(sight.hour, 9, 'in Tokyo');
    assert.deepEqual([sight.cwd, sight.codeWritable, sight.temporary], ['/code', false, []]);
    assert.deepEqual(sight.code, [LANGUAGES[language].file]);
    for (const set of ['CapPrm', 'CapEff', 'CapBnd'])
      assert.match(sight.status, new RegExp(`${set}:\\s0+\\n`));
    assert.doesNotMatch(sight.mounts, / \/code rw/);
    // Process 1 may have been forked from something that sees more.
    assert.equal(sight.first, language === 'python' ? 'PermissionError' : 'EACCES');
    assert.doesNotMatch(sight.mounts, /netns|cgroup|seccomp|\/run\/thaw\/host/);
    // Its stem was nobody's before and is nobody's after: another function has another one.
    const other = await firstAnswerFromStem(platform, 'two', spec);
    assert.notEqual(instanceOf(other), instanceOf(answer));
    assert.deepEqual(jsonOf<Sight>(other).temporary, []);
    assert.equal(jsonOf<Sight>(other).environment['OWN'], undefined);
  });
}

test('a resident maker and a program of its own make equal sandboxes of Node', async (t) => {
  if (!existsSync('/usr/bin/python3')) return t.skip('there is no Python in /usr');
  const sights: Sight[] = [];
  for (const maker of ['on', 'off']) {
    const platform = await startWithStems(t, { stems: 2, arguments: ['--sandbox-maker', maker] });
    if (platform === undefined) return;
    const spec = { code: LOOK.nodejs, language: 'nodejs' } as const;
    sights.push(jsonOf<Sight>(await firstAnswerFromStem(platform, 'one', spec)));
    await platform.stop();
  }
  const [made, ordinary] = sights;
  assert.ok(made !== undefined && ordinary !== undefined);
  assert.deepEqual([made.firstName, ordinary.firstName], ['sleep', 'bwrap']);
  assert.deepEqual(sandboxed(made.status), sandboxed(ordinary.status));
  const [places, ordinaryPlaces] = [mounted(made.mounts), mounted(ordinary.mounts)];
  for (const [place, options] of ordinaryPlaces) assert.equal(places.get(place), options, place);
  for (const [place, options] of places)
    if (!ordinaryPlaces.has(place)) assert.match(options, /^ro,nosuid,nodev\b/, place);
  for (const { descriptors = [] } of sights) {
    const files = descriptors.filter((name) => name.startsWith('/') && !name.startsWith('/proc/'));
    assert.deepEqual([...new Set(files)], ['/dev/null']);
  }
});

/** What a process may do, without what tells one from another. */
function sandboxed(status: string): string[] {
  const names = /^(Umask|Groups|SigBlk|Cap\w+|NoNewPrivs|Seccomp\w*):/u;
  return status.split('\n').filter((line) => names.test(line));
}

/** What may be done where something is mounted; what was mounted last covers all else. */
function mounted(mounts: string): Map<string, string> {
  const lines = mounts.trim().split('\n');
  return new Map(lines.map((line) => [line.split(' ')[4] ?? '', line.split(' ')[5] ?? '']));
}

test('a variable that the runtime reads as it starts asks for an ordinary start, which the log tells', async (t) => {
  const platform = await startWithStems(t);
  if (platform === undefined) return;
  const code = 'exports.handler = async () => process.execArgv.length + process.env.NODE_OPTIONS;';
  await createFunction(platform, 'plain', { code });
  const fields = { environmentVariables: { NODE_OPTIONS: '--no-deprecation' } };
  await createFunction(platform, 'odd', { code, fields });
  await waitForStems(platform);
  const answer = await invoke(platform, 'odd');
  assert.equal(answer.body.toString(), '1--no-deprecation');
  assert.ok(!isFromStem(answer));
  await waitFor('the reason in the log', async () => {
    const log = await signedCall(platform, { method: 'GET', path: '/thaw/v1/functions/odd/logs' });
    return log.body.toString().includes('NODE_OPTIONS is read when the runtime starts');
  });
});

test('memory of the function, not of the stem', async (t) => {
  const platform = await startWithStems(t);
  if (platform === undefined) return;
  const code = 'def handler(event, context):\n    return str(len(bytearray(int(event) * 1048576)))';
  const spec = { code, language: 'python' } as const;
  const fits = await firstAnswerFromStem(platform, 'large', { ...spec, fields: { memorySize: 512 } }, '300');
  assert.equal(fits.body.toString(), String(300 * 1_048_576));
  const refused = await firstAnswerFromStem(platform, 'small', spec, '300');
  assert.equal(jsonOf<{ errorType: string }>(refused).errorType, 'OutOfMemory');
});

test('stems that die are replaced, and whoever gets a dead one starts all the same', async (t) => {
  const platform = await startWithStems(t);
  if (platform === undefined) return;
  await createFunction(platform, 'one', { code: 'exports.handler = async () => "fine";' });
  await waitForStems(platform);
  const killed = await killStems(platform);
  assert.ok(killed.length > 0);
  // At once: they may be dying still when one of them is taken.
  const answer = await invoke(platform, 'one');
  assert.equal(answer.body.toString(), 'fine');
  await waitFor('new stems', async () => {
    const stems = await stemProcesses(platform);
    return stems.length > 0 && stems.every((pid) => !killed.includes(pid));
  });
  await waitForStems(platform);
});

test('the end of the process that forks Python is the end of its instances, and others follow', async (t) => {
  const platform = await startWithStems(t);
  if (platform === undefined) return;
  const code = 'def handler(event, context):\n    return "fine"';
  const before = await firstAnswerFromStem(platform, 'one', { code, language: 'python' });
  const zygotes: number[] = [];
  for (const pid of await stemProcesses(platform)) {
    const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
    if (/^Uid:\t0\t/mu.test(status)) zygotes.push(pid);
  }
  assert.ok(zygotes.length > 0);
  for (const pid of zygotes) process.kill(pid, 'SIGKILL');
  await waitFor('the end of the instance', async () => (await processesOf(instanceOf(before))).length === 0);
  const after = await waitFor('another instance', async () => {
    const answer = await invoke(platform, before.functionName);
    return answer.body.toString() === 'fine' ? answer : undefined;
  });
  assert.notEqual(instanceOf(after), instanceOf(before));
});

test('the end of the launcher, of the daemon or of both leaves nothing of a stem', async (t) => {
  const platform = await startWithStems(t);
  if (platform === undefined) return;
  await createFunction(platform, 'one', { code: 'exports.handler = async () => "fine";' });
  await waitForStems(platform);
  const answer = await invoke(platform, 'one');
  const mark = await platformMark(instanceOf(answer));
  assert.ok(mark !== undefined);
  await waitForStems(platform);
  const [launcher] = (await childrenOf(platform.pid)).filter(({ command }) => command.includes('launcher'));
  assert.ok(launcher !== undefined);
  process.kill(launcher.pid, 'SIGKILL');
  await waitFor('another instance', async () => (await invoke(platform, 'one')).body.toString() === 'fine');
  await waitForStems(platform);
  // Those of the dead launcher may still be counted.
  const left = await waitFor('stems of the new launcher', async () => {
    const found = await stemProcesses(platform);
    return found.length > 0 && found;
  });
  await platform.kill();
  await waitFor('the end of every process', async () => {
    const states = await Promise.all(
      left.map((pid) => readFile(`/proc/${pid}/stat`, 'utf8').catch(() => 'gone')),
    );
    return states.every((state) => state === 'gone' || / [ZX] /.test(state));
  });
  // The launcher clears everything when it notices that it is alone; nobody else has to come for that.
  let traces: readonly string[] = [];
  const isClean = async (): Promise<boolean> => {
    traces = await tracesOf(mark);
    return traces.length === 0;
  };
  await waitFor('the end of every trace', isClean, CLEARED_MS_MAX).catch(() => assert.deepEqual(traces, []));
});

test('without stems everything starts ordinarily', async (t) => {
  const platform = await startPlatform(t, { stems: 0 });
  await createFunction(platform, 'one', { code: 'exports.handler = async () => "fine";' });
  const answer = await invoke(platform, 'one');
  assert.equal(answer.body.toString(), 'fine');
  assert.ok(!isFromStem(answer));
  assert.deepEqual(await stemProcesses(platform), []);
  const { stdout } = await platform.thaw(['info']);
  assert.match(stdout.toString(), /stems +(off|none)/);
});

/** The runtimes of stems: their environment says so for as long as they live, also once they are an instance. */
async function stemProcesses(platform: Platform): Promise<number[]> {
  const found: number[] = [];
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const environment = await readFile(`/proc/${name}/environ`, 'utf8').catch(() => '');
    if (environment.includes('THAW_STEM=1\0') && (await isBelow(Number(name), platform.pid)))
      found.push(Number(name));
  }
  return found;
}

async function isBelow(pid: number, ancestor: number): Promise<boolean> {
  for (let at = pid; at > 1;) {
    if (at === ancestor) return true;
    const status = await readFile(`/proc/${at}/status`, 'utf8').catch(() => '');
    at = Number(/^PPid:\t(\d+)$/mu.exec(status)?.[1] ?? 0);
  }
  return false;
}

async function killStems(platform: Platform): Promise<number[]> {
  const pids = await stemProcesses(platform);
  for (const pid of pids) process.kill(pid, 'SIGKILL');
  return pids;
}
