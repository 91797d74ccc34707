import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { temporaryDirectory } from '../../test/temporary-directory.ts';
import { findTemplate, readSYaml } from './read-s-yaml.ts';

const WHOLE = `edition: 3.0.0
name: shop
access: default
vars:
  region: cn-hangzhou
  base: &base
    runtime: nodejs20
    timeout: \${env('SECONDS', 7)}
  greeting: hello \${env('WHO')}
template:
  small:
    memorySize: 128
    description: from the template
resources:
  api:
    component: fc3@0.1.0
    extend:
      name: small
      ignore: [description]
    actions:
      pre-deploy:
        - run: npm ci && echo \${vars.region}
          path: ./api
    props:
      <<: *base
      region: \${vars.region}
      functionName: shop-api
      handler: index.handler
      code: ./api
      environmentVariables:
        GREETING: \${vars.greeting}!
        RETRIES: 3
        EMPTY:
      role: auto
      tags:
        - key: team
          value: a
      customDomain:
        domainName: auto
      triggers:
        - triggerName: web
          triggerType: http
          triggerConfig:
            authType: anonymous
            methods: [GET, POST]
  worker:
    component: fc3
    props:
      functionName: \${resources.api.props.functionName}-worker
      runtime: \${resources.api.props.runtime}
      handler: \${this.props.runtime}.run
      code: { src: /srv/worker }
      timeout: "\${env('SECONDS', '9')}"
`;

test('reads a whole file: variables, templates, anchors, defaults, actions, notes', async () => {
  await using directory = await temporaryDirectory();
  const file = await directory.write('s.yaml', WHOLE);
  await directory.write('.env', 'WHO=dotenv\nSECONDS=from-dotenv\n');
  const project = await readSYaml(file, { SECONDS: '11' });
  const [api, worker] = project.resources;
  assert.deepEqual(api, {
    name: 'api',
    codePath: join(directory.path, 'api'),
    preDeploy: [{ run: 'npm ci && echo cn-hangzhou', directory: join(directory.path, 'api') }],
    notes: ['customDomain has no effect on this platform'],
    props: {
      region: 'cn-hangzhou',
      functionName: 'shop-api',
      description: '',
      runtime: 'nodejs20',
      handler: 'index.handler',
      code: './api',
      memorySize: 128,
      diskSize: 512,
      timeout: 11,
      instanceConcurrency: 1,
      environmentVariables: { GREETING: 'hello dotenv!', RETRIES: '3' },
      layers: [],
      internetAccess: true,
      instanceLifecycleConfig: {},
      role: 'auto',
      tags: [{ key: 'team', value: 'a' }],
      customDomain: { domainName: 'auto' },
      triggers: [
        {
          triggerName: 'web',
          triggerType: 'http',
          triggerConfig: { authType: 'anonymous', methods: ['GET', 'POST'] },
          qualifier: 'LATEST',
          description: '',
        },
      ],
    },
  });
  assert.equal(worker?.props.functionName, 'shop-api-worker');
  assert.equal(worker?.props.handler, 'nodejs20.run');
  assert.equal(worker?.props.timeout, 11);
  assert.equal(worker?.codePath, '/srv/worker');
});

const MISTAKES: readonly (readonly [string, string, RegExp])[] = [
  ['broken YAML', 'a: [1\n', /s\.yaml:2:1: /],
  ['an old edition', 'edition: 1.0.0\nresources: {}\n', /s\.yaml:1:10: edition 1\.0\.0 is not supported/],
  ['no resources', 'edition: 3.0.0\n', /resources: Invalid input/],
  ['another component', resource('', 'oss'), /s\.yaml:4:16: the component of 'a' is "oss"/],
  ['a misspelled property', resource('memorysize: 128'), /s\.yaml:9:19: .*memorysize/],
  ['a wrong type', resource('timeout: soon'), /s\.yaml:9:16: timeout: /],
  [
    'an unset variable',
    resource("description: ${env('NOT_SET')}"),
    /s\.yaml:9:20: the environment variable NOT_SET/,
  ],
  [
    'a missing var',
    resource('description: ${vars.nothing}'),
    /s\.yaml:9:20: the variable \$\{vars\.nothing\} has no/,
  ],
  ['an unknown call', resource("description: ${git('x')}"), /s\.yaml:9:20: \$\{git\(…\)\} is not supported/],
  ['a circle', resource('description: ${this.props.description}'), /s\.yaml:9:20: .* in a circle/],
  ['a missing file', resource("description: ${file('./none')}"), /s\.yaml:9:20: reading .*none/],
];

function resource(line: string, component = 'fc3'): string {
  return `edition: 3.0.0
resources:
  a:
    component: ${component}
    props:
      functionName: a
      runtime: nodejs20
      handler: index.handler
      ${line}
`;
}

for (const [what, text, message] of MISTAKES) {
  test(`says where the mistake is: ${what}`, async () => {
    await using directory = await temporaryDirectory();
    const file = await directory.write('s.yaml', text);
    await assert.rejects(readSYaml(file, {}), (error) => {
      assert.ok(error instanceof ThawError);
      assert.equal(error.code, 'INVALID_ARGUMENT');
      assert.match(error.message, message);
      return true;
    });
  });
}

test('finds s.yaml before s.yml, and says what is missing', async () => {
  await using directory = await temporaryDirectory();
  assert.throws(() => findTemplate(undefined, directory.path), /there is no s\.yaml in/);
  const second = await directory.write('s.yml', '');
  assert.equal(findTemplate(undefined, directory.path), second);
  const first = await directory.write('s.yaml', '');
  assert.equal(findTemplate(undefined, directory.path), first);
  assert.equal(findTemplate('other.yaml', directory.path), join(directory.path, 'other.yaml'));
});
