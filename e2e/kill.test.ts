import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import type { ErrorCode } from '@thaw/protocol/error-code.ts';
import { startPlatform, type Platform } from '@thaw/testkit/platform.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { zip } from '@thaw/testkit/zip.ts';
import { metric, readMetrics } from './fixtures/metrics.ts';
import { missingLimit, missingSandbox } from './fixtures/requirements.ts';
import { cgroupsOf, fileInside, instanceProcesses, isThere, openGate } from './outside/instance-processes.ts';
import { API, createFunction, invoke, putSetting, type Language } from './support/functions.ts';
import { jsonOf, type Answer } from './support/http-call.ts';
import { signedCall } from './support/signed-call.ts';

/** The built-in languages, and a web server of the user's own. */
type Kind = Language | 'server';

const PYTHON_GATE = {
  'gate.py': `
import os, time
def gate(name):
    if os.environ.get('GATE') != name:
        return
    open('/tmp/' + name, 'w').close()
    while not os.path.exists('/tmp/go'):
        time.sleep(0.005)`,
  'sitecustomize.py': `
from gate import gate
gate('boot')`,
};

/**
 * Each function stops at one gate, tells by a file that it stands there and goes on when another file lies beside it. So an
 * instance is killed in exactly the phase that is meant, however slow the machine is.
 */
const SOURCES: Record<Kind, Readonly<Record<string, string>>> = {
  nodejs: {
    'gate.js': `
      const fs = require('node:fs');
      module.exports = (gate) => {
        if (process.env.GATE !== gate) return;
        fs.writeFileSync('/tmp/' + gate, '');
        const cell = new Int32Array(new SharedArrayBuffer(4));
        while (!fs.existsSync('/tmp/go')) Atomics.wait(cell, 0, 0, 5);
      };`,
    'boot.js': `require('./gate.js')('boot');`,
    'index.js': `
      const gate = require('./gate.js');
      gate('load');
      exports.initializer = async () => gate('initializer');
      exports.handler = async () => { gate('handler'); return 'ok'; };
      exports.preFreeze = async () => gate('preFreeze');
      exports.postThaw = async () => gate('postThaw');
      exports.preStop = async () => gate('preStop');`,
  },
  python: {
    ...PYTHON_GATE,
    'index.py': `
from gate import gate
gate('load')
def initializer(context): gate('initializer')
def handler(event, context):
    gate('handler')
    return 'ok'
def preFreeze(context): gate('preFreeze')
def postThaw(context): gate('postThaw')
def preStop(context): gate('preStop')`,
  },
  server: {
    ...PYTHON_GATE,
    'server.py': `
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from gate import gate
gate('load')
GATES = {'/initialize': 'initializer', '/pre-freeze': 'preFreeze', '/post-thaw': 'postThaw', '/pre-stop': 'preStop'}
class Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_POST(self):
        self.rfile.read(int(self.headers.get('content-length', 0)))
        gate(GATES.get(self.path, 'handler'))
        self.send_response(200)
        self.send_header('content-length', '2')
        self.end_headers()
        self.wfile.write(b'ok')
    do_GET = do_POST
ThreadingHTTPServer(('0.0.0.0', 9000), Handler).serve_forever()`,
  },
};

/** What makes a language run a file of the user's before anything of ours. */
const BOOT: Record<Kind, Readonly<Record<string, string>>> = {
  nodejs: { NODE_OPTIONS: '--require /code/boot.js' },
  python: { PYTHONPATH: '/code' },
  server: { PYTHONPATH: '/code' },
};

type Gate = 'boot' | 'load' | 'initializer' | 'handler' | 'preFreeze' | 'postThaw' | 'preStop';

interface Phase {
  readonly name: string;
  /** Where the instance stands when it is killed; without one it is in `state`. */
  readonly gate?: Gate;
  readonly state?: 'idle' | 'frozen';
  /** The error of whoever waits; without one nobody waits, or who waits is served. */
  readonly code?: ErrorCode;
}

const PHASES: readonly Phase[] = [
  { name: 'booting', gate: 'boot', code: 'SANDBOX_FAILED' },
  { name: 'loading', gate: 'load', code: 'CODE_NOT_LOADED' },
  { name: 'initializing', gate: 'initializer', code: 'INITIALIZER_FAILED' },
  { name: 'busy', gate: 'handler', code: 'FUNCTION_EXITED' },
  { name: 'idle', state: 'idle' },
  { name: 'before-the-freeze', gate: 'preFreeze' },
  { name: 'frozen', state: 'frozen' },
  { name: 'thawing', gate: 'postThaw' },
  { name: 'before-the-stop', gate: 'preStop' },
];

/** The runtime alone is what the kernel kills when memory is short; everything at once is what an operator does. */
type Victims = 'runtime' | 'everything';
const HOOK_S_MAX = 60;

for (const [kind, victims] of [
  ['nodejs', 'runtime'],
  ['nodejs', 'everything'],
  ['python', 'runtime'],
  ['server', 'runtime'],
] as const) {
  test(`${kind}: kill -9 of ${victims} in every phase`, { concurrency: 3 }, async (t) => {
    const platform = await startPlatform(t);
    // The processes of an instance are found by its cgroup.
    const missing = (await missingSandbox(platform)) ?? (await missingLimit(platform, 'memory'));
    if (missing !== undefined) {
      t.skip(missing);
      return;
    }
    await Promise.all(
      PHASES.map((phase) => t.test(phase.name, () => killIn(platform, phase, kind, victims))),
    );
    assert.doesNotMatch(platform.output(), /launcher process ended/);
  });
}

async function killIn(platform: Platform, phase: Phase, kind: Kind, victims: Victims): Promise<void> {
  const name = await createGated(platform, phase, kind);
  const { instanceId, waiting } = await reach(platform, name, phase, kind);
  const processes = await instanceProcesses(platform.pid, instanceId);
  assert.ok(processes.length > 0, 'the instance has processes');
  for (const pid of victims === 'everything' ? processes : processes.slice(-1)) killIfThere(pid);
  if (phase.gate === 'load') await killNextStart(platform, name, processes, waiting);

  const answer = await waiting;
  if (phase.code !== undefined) {
    assert.ok(answer !== undefined);
    const { status, errorCode } = await recordOf(platform, answer);
    // A web server is the user's code from its first instruction.
    const code = kind === 'server' && phase.code === 'SANDBOX_FAILED' ? 'CODE_NOT_LOADED' : phase.code;
    assert.deepEqual([status, errorCode], ['failed', code], answer.body.toString());
    assert.match(answer.body.toString(), /was ended by SIGKILL (while|before) /);
  } else if (answer !== undefined) {
    assert.equal(answer.body.toString(), 'ok');
  }

  await waitFor(`the end of everything of ${name}`, async () => {
    const listed = await instancesOf(platform, name);
    const isListed = listed.includes(instanceId);
    return !isListed && !processes.some(isThere) && (await cgroupsOf(instanceId)).length === 0;
  });

  await openGates(platform, name);
  const next = invoke(platform, name);
  if (phase.code !== undefined) await openGate((await standingAt(platform, name, phase.gate)).pid);
  assert.equal((await next).body.toString(), 'ok');
  await openGates(platform, name);
}

/**
 * What was told what it is and has not said a word yet is started once more where it came of a stem: as far as the
 * platform can see, nothing of the function has run. That start is the last.
 */
async function killNextStart(
  platform: Platform,
  name: string,
  ended: readonly number[],
  waiting: Promise<Answer> | undefined,
): Promise<void> {
  let isAnswered = false;
  const answered = (): boolean => (isAnswered = true);
  void waiting?.then(answered, answered);
  await waitFor(`an answer of ${name}, or another start`, async () => {
    if (isAnswered) return true;
    for (const instanceId of await instancesOf(platform, name)) {
      const pid = (await instanceProcesses(platform.pid, instanceId)).at(-1);
      if (pid === undefined || ended.includes(pid) || !existsSync(fileInside(pid, 'load'))) continue;
      killIfThere(pid);
      return true;
    }
    return false;
  });
}

/** The end of one process of a sandbox is that of others, at any moment. */
function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}

/** What an instance that was not killed would wait for: at its next thaw, its next freeze, or the end of the platform. */
async function openGates(platform: Platform, name: string): Promise<void> {
  for (const instanceId of await instancesOf(platform, name)) {
    const pid = (await instanceProcesses(platform.pid, instanceId)).at(-1);
    if (pid !== undefined && isThere(pid)) await openGate(pid);
  }
}

/** Brings an instance to where it is to be killed. */
async function reach(
  platform: Platform,
  name: string,
  { gate, state, code }: Phase,
  kind: Kind,
): Promise<{ instanceId: string; waiting?: Promise<Answer> | undefined }> {
  if (code !== undefined) {
    const waiting = invoke(platform, name);
    return { instanceId: (await standingAt(platform, name, gate)).instanceId, waiting };
  }
  const first = await invoke(platform, name);
  assert.equal(first.body.toString(), 'ok');
  const instanceId = String(first.headers['x-fc-instance-id']);
  if (state !== undefined) {
    await untilState(platform, name, state);
    return { instanceId };
  }
  if (gate === 'preStop') {
    await updateCode(platform, name, kind);
    assert.equal((await invoke(platform, name)).body.toString(), 'ok');
  } else if (gate === 'postThaw') {
    await untilState(platform, name, 'frozen');
    const waiting = invoke(platform, name);
    await standingAt(platform, name, gate);
    return { instanceId, waiting };
  }
  assert.equal((await standingAt(platform, name, gate)).instanceId, instanceId);
  return { instanceId, waiting: gate === 'preFreeze' ? invoke(platform, name) : undefined };
}

/** The instance of the function that stands at the gate. */
function standingAt(
  platform: Platform,
  name: string,
  gate: string | undefined,
): Promise<{ instanceId: string; pid: number }> {
  assert.ok(gate !== undefined);
  return waitFor(`an instance of ${name} at the gate ${gate}`, async () => {
    for (const instanceId of await instancesOf(platform, name)) {
      const pid = (await instanceProcesses(platform.pid, instanceId)).at(-1);
      if (pid !== undefined && existsSync(fileInside(pid, gate))) return { instanceId, pid };
    }
    return undefined;
  });
}

function createGated(platform: Platform, { name, gate, state }: Phase, kind: Kind): Promise<string> {
  const hook = (handler: string): object => ({ handler: `index.${handler}`, timeout: HOOK_S_MAX });
  const isHook = gate === 'initializer' || gate === 'preFreeze' || gate === 'postThaw' || gate === 'preStop';
  return createFunction(platform, name, {
    language: kind === 'nodejs' ? 'nodejs' : 'python',
    code: SOURCES[kind],
    fields: {
      ...(kind === 'server'
        ? { runtime: 'custom', customRuntimeConfig: { command: ['python3', '/code/server.py'] } }
        : {}),
      timeout: HOOK_S_MAX,
      environmentVariables: {
        ...(gate === 'boot' ? BOOT[kind] : {}),
        ...(gate === undefined ? {} : { GATE: gate }),
        THAW_FREEZE_AFTER_MS: state === 'idle' ? 'never' : '0',
      },
      ...(isHook ? { instanceLifecycleConfig: { [gate]: hook(gate) } } : {}),
    },
  });
}

/** Other code of the same behaviour, so that the next call retires the instances of the old. */
async function updateCode(platform: Platform, name: string, kind: Kind): Promise<void> {
  const files = { ...SOURCES[kind], 'other.txt': '' };
  const zipFile = (await zip(files)).toString('base64');
  await putSetting(platform, name, { code: { zipFile } });
}

async function instancesOf(platform: Platform, name: string): Promise<string[]> {
  const answer = await signedCall(platform, { method: 'GET', path: `${API}/functions/${name}/instances` });
  const { instances } = jsonOf<{ instances: readonly { instanceId: string }[] }>(answer);
  return instances.map(({ instanceId }) => instanceId);
}

function recordOf(platform: Platform, answer: Answer): Promise<{ status: string; errorCode?: string }> {
  const path = `/thaw/v1/invocations/${String(answer.headers['x-fc-request-id'])}`;
  return waitFor('the record of the invocation', async () => {
    const record = await signedCall(platform, { method: 'GET', path });
    return record.status === 200 ? jsonOf<{ status: string; errorCode?: string }>(record) : undefined;
  });
}

function untilState(platform: Platform, functionName: string, state: string): Promise<true> {
  return waitFor(`an instance of ${functionName} that is ${state}`, async () => {
    const found = metric(await readMetrics(platform), 'thaw_instances', { function: functionName, state });
    return found > 0 ? true : undefined;
  });
}
