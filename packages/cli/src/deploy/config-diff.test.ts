import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fc3PropsSchema } from '../s-yaml/fc3-props.ts';
import { configChanges, functionConfig, isSatisfiedBy } from './config-diff.ts';

const props = fc3PropsSchema.parse({
  functionName: 'f',
  runtime: 'nodejs20',
  handler: 'index.handler',
  environmentVariables: { A: '1' },
  instanceLifecycleConfig: { initializer: { handler: 'index.init' } },
  layers: ['arn:1'],
  logConfig: 'auto',
});

/** What a platform answers that was sent exactly these. */
const deployed = {
  ...functionConfig(props),
  functionName: 'f',
  functionId: 'x',
  layers: [{ arn: 'arn:1' }],
  instanceLifecycleConfig: { initializer: { handler: 'index.init', timeout: 3 } },
};

test('sends defaults, and nothing that the cloud would make by itself', () => {
  assert.deepEqual(functionConfig(props), {
    functionName: 'f',
    description: '',
    runtime: 'nodejs20',
    handler: 'index.handler',
    memorySize: 512,
    diskSize: 512,
    timeout: 3,
    instanceConcurrency: 1,
    environmentVariables: { A: '1' },
    layers: ['arn:1'],
    internetAccess: true,
    instanceLifecycleConfig: { initializer: { handler: 'index.init' } },
  });
});

test('finds no difference in what the platform filled in', () => {
  assert.deepEqual(configChanges(functionConfig(props), deployed), []);
});

test('names each field that differs, and what left the file', () => {
  const actual = {
    ...deployed,
    timeout: 9,
    environmentVariables: { A: '2', B: 'gone' },
    layers: [],
    instanceLifecycleConfig: {
      initializer: { handler: 'other', timeout: 3 },
      preStop: { handler: 's', timeout: 1 },
    },
  };
  assert.deepEqual(configChanges(functionConfig(props), actual), [
    { field: 'timeout', from: 9, to: 3 },
    { field: 'environmentVariables.A', from: '2', to: '1' },
    { field: 'environmentVariables.B', from: 'gone', to: undefined },
    { field: 'layers', from: [], to: ['arn:1'] },
    {
      field: 'instanceLifecycleConfig.initializer',
      from: { handler: 'other', timeout: 3 },
      to: { handler: 'index.init' },
    },
    { field: 'instanceLifecycleConfig.preStop', from: { handler: 's', timeout: 1 }, to: undefined },
  ]);
});

test('nothing, an empty text, list and object are the same; null and false are not', () => {
  for (const wanted of ['', [], {}, undefined]) assert.ok(isSatisfiedBy(wanted, undefined));
  assert.ok(!isSatisfiedBy(false, undefined));
  assert.ok(!isSatisfiedBy([1], [1, 2]));
  assert.ok(isSatisfiedBy({ a: { b: 1 } }, { a: { b: 1, c: 2 }, d: 3 }));
});
