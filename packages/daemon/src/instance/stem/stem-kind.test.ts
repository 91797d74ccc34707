import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '@thaw/protocol/limits.ts';
import type { RunnableVersion } from '../../model/runnable.ts';
import { instanceFiles, sandboxSpec } from '../instance-layout.ts';
import type { Interpreter } from '../interpreters.ts';
import { changeFor, makerOf, stemKindOf, type StemKind, type StemPlaces } from './stem-kind.ts';
import { startupVariable } from './startup-variables.ts';

const MEGABYTE = 1024 * 1024;
const NODE: Interpreter = {
  family: 'nodejs',
  version: [26, 0],
  fullVersion: '26.0.0',
  path: '/home/somebody/node/bin/node',
  root: '/home/somebody/node/bin/node',
};
const PYTHON: Interpreter = {
  family: 'python3',
  version: [3, 11],
  fullVersion: '3.11.2',
  path: '/usr/bin/python3.11',
  root: '/usr',
};
const JDK: Interpreter = {
  family: 'java',
  version: [21, 0],
  fullVersion: '21.0.4',
  path: '/usr/lib/jvm/21/bin/java',
  root: '/usr/lib/jvm/21',
  build: '0a1b2c3d',
};
const PLACES: StemPlaces = {
  interpreters: [NODE, PYTHON, JDK],
  runDirectory: '/run/thaw',
  shimsDirectory: '/data/runtimes/1',
  cannotSpecialize: undefined,
  maker: undefined,
  forks: true,
};
const RUNNABLE: RunnableVersion = {
  key: 'one@1',
  functionName: 'one',
  versionId: 'LATEST',
  family: 'nodejs',
  runtime: 'nodejs26',
  handler: 'index.handler',
  handlerType: 'auto',
  server: undefined,
  hot: undefined,
  container: undefined,
  initializer: undefined,
  hooks: { preFreeze: undefined, preStop: undefined, postThaw: undefined },
  freezeAfterMs: 1000,
  instancesMax: undefined,
  idleMsMax: undefined,
  sessionAffinity: undefined,
  timeoutMs: 3000,
  memoryMb: 512,
  cpu: 0.5,
  diskMb: 512,
  instanceConcurrency: 1,
  environment: { FC_FUNCTION_NAME: 'one', SECRET: 'of one' },
  internetAccess: true,
  codeDirectory: '/data/code/one',
  layerDirectory: undefined,
  recordsInputs: false,
  codeChecksum: '1',
  logProject: '',
  logStore: '',
};
const PYTHON_RUNNABLE: RunnableVersion = { ...RUNNABLE, family: 'python3', runtime: 'python3' };

function kindOf(runnable: RunnableVersion): StemKind {
  const kind = stemKindOf(runnable, PLACES);
  if (typeof kind === 'string') assert.fail(kind);
  return kind;
}

test('functions that differ in what can be changed later share a kind', () => {
  const { key } = kindOf(PYTHON_RUNNABLE);
  const other = {
    functionName: 'two',
    memoryMb: 2048,
    cpu: undefined,
    diskMb: 10_240,
    environment: { PATH: '/mine', SECRET: 'of two' },
    codeDirectory: '/data/code/two',
    layerDirectory: '/data/layers/two',
  };
  assert.equal(kindOf({ ...PYTHON_RUNNABLE, ...other }).key, key);
});

test('what is settled at the start tells kinds apart', () => {
  const kinds = [
    kindOf(RUNNABLE),
    // Its heap.
    kindOf({ ...RUNNABLE, memoryMb: 256 }),
    kindOf({ ...RUNNABLE, internetAccess: false }),
    kindOf(PYTHON_RUNNABLE),
  ];
  assert.equal(new Set(kinds.map(({ key }) => key)).size, kinds.length);
});

test('a stem knows nothing of a function', () => {
  const files = instanceFiles('/run/thaw', '/data/runtimes/1', 'c-1');
  const spec = kindOf({ ...RUNNABLE, layerDirectory: '/data/layers/one' }).spec('c-1', files);
  const text = JSON.stringify(spec);
  for (const own of ['one', 'SECRET', 'FC_']) assert.ok(!text.includes(own), `${own} in ${text}`);
  assert.deepEqual(spec.lateTargets?.slice(0, 2), ['/code', '/opt']);
  assert.equal(spec.id, 'c-1');
  assert.equal(spec.outputSocket, '/run/thaw/i/c-1/out');
  assert.ok(spec.mounts.some(({ source }) => source === '/run/thaw/i/c-1/link'));
  assert.ok(spec.memoryBytesMax <= 128 * MEGABYTE);
});

test('the change brings the limits and the directories of the function', () => {
  const files = instanceFiles('/run/thaw', '/data/runtimes/1', 'c-1');
  const withLayers = { ...RUNNABLE, layerDirectory: '/data/layers/one' };
  assert.deepEqual(changeFor(sandboxSpec(withLayers, 'c-1', NODE, files, 'bubblewrap')), {
    memoryBytesMax: 512 * MEGABYTE,
    cpu: 0.5,
    cpuShare: 512,
    temporaryBytesMax: 512 * MEGABYTE,
    mounts: [
      { source: '/data/code/one', target: '/code', readOnly: true },
      { source: '/data/layers/one', target: '/opt', readOnly: true },
    ],
  });
});

test('a maker is for Node, shares nothing with the sandbox and needs a Python that all sandboxes see', () => {
  const maker = makerOf(PLACES.interpreters, PLACES.shimsDirectory);
  assert.deepEqual(maker, { python: PYTHON.path, directory: '/data/runtimes/1/python' });
  assert.equal(
    makerOf([NODE, { ...PYTHON, path: '/opt/python/bin/python3' }], '/data/runtimes/1'),
    undefined,
  );
  const places = { ...PLACES, maker };
  for (const runnable of [RUNNABLE, PYTHON_RUNNABLE]) {
    const kind = stemKindOf(runnable, places);
    if (typeof kind === 'string') assert.fail(kind);
    const spec = kind.spec('c-1', instanceFiles('/run/thaw', '/data/runtimes/1', 'c-1'), 512);
    assert.deepEqual(
      [kind.isForked, spec.maker, spec.cpuShare],
      [true, runnable === RUNNABLE ? maker : undefined, 512],
    );
  }
  assert.equal(kindOf(RUNNABLE).isForked, false);
});

test('what cannot be one says why', () => {
  const impossible = { ...PLACES, cannotSpecialize: 'no mounts here' };
  assert.equal(stemKindOf(RUNNABLE, impossible), 'no mounts here');
  const options = { ...RUNNABLE, environment: { NODE_OPTIONS: '--trace-gc' } };
  assert.equal(stemKindOf(options, PLACES), 'NODE_OPTIONS is read when the runtime starts');
  assert.equal(
    stemKindOf({ ...RUNNABLE, family: 'custom', runtime: 'custom' }, PLACES),
    'its program is its own',
  );
});

test('a Java stem has room for variables and a class path, for each heap', () => {
  const java: RunnableVersion = { ...RUNNABLE, family: 'java', runtime: 'java17' };
  const kind = kindOf(java);
  const { command, environment, workingDirectory } = kind.spec(
    'c-1',
    instanceFiles('/run/thaw', '/data/runtimes/1', 'c-1'),
  );
  assert.equal(command[command.indexOf('-cp') + 1], `/run/thaw/runtime/shim.jar:${String(command.at(-1))}`);
  assert.equal(workingDirectory, '/code');
  assert.ok(JSON.stringify(environment).length > 2 * LIMITS.environmentBytesMax);
  assert.notEqual(kindOf({ ...java, memoryMb: 256 }).key, kind.key);
  assert.equal(kindOf({ ...java, runtime: 'java21', codeDirectory: '/data/code/two' }).key, kind.key);
  assert.notEqual(kindOf({ ...java, runtime: 'java8' }).key, kind.key, 'it has other flags');
  const many = Object.fromEntries(Array.from({ length: 130 }, (_, n) => [`V${n}`, '']));
  assert.equal(stemKindOf({ ...java, environment: many }, PLACES), 'its variables are too many');
  const options = { ...java, environment: { JAVA_TOOL_OPTIONS: '-Xss1m' } };
  assert.equal(stemKindOf(options, PLACES), 'JAVA_TOOL_OPTIONS is read when the runtime starts');
});

test('variables that come too late are known, others are let be', () => {
  const of = (family: 'nodejs' | 'python3', name: string): string | undefined =>
    startupVariable(family, { FC_REGION: 'local', [name]: 'x' });
  for (const name of [
    'LD_PRELOAD',
    'LD_LIBRARY_PATH',
    'MALLOC_ARENA_MAX',
    'LANG',
    'LC_ALL',
    'OPENSSL_CONF',
  ]) {
    assert.equal(of('nodejs', name), name);
    assert.equal(of('python3', name), name);
  }
  for (const name of ['NODE_OPTIONS', 'NODE_EXTRA_CA_CERTS', 'UV_THREADPOOL_SIZE'])
    assert.equal(of('nodejs', name), name);
  for (const name of ['PYTHONHASHSEED', 'PYTHONOPTIMIZE', 'PYTHONPATH', 'PYTHONWARNINGS'])
    assert.equal(of('python3', name), name);
  for (const name of ['TZ', 'PATH', 'HOME', 'NODE_ENV', 'NODE_PATH', 'LOG_LEVEL', 'SLANG']) {
    assert.equal(of('nodejs', name), undefined);
    assert.equal(of('python3', name), undefined);
  }
});
