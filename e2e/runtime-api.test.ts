import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { startPlatform, temporaryDirectory, type Platform } from '@thaw/testkit/platform.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { deployExample } from './fixtures/deploy-example.ts';
import { metric, readMetrics } from './fixtures/metrics.ts';
import { missingProgram } from './fixtures/requirements.ts';
import {
  createFunction,
  createHttpTrigger,
  functionErrorOf,
  invoke,
  logTailOf,
} from './support/functions.ts';
import { send, type Answer } from './support/http-call.ts';

const run = promisify(execFile);
const BUILD_MS_MAX = 120_000;
const text = (answer: Answer): string => answer.body.toString();

/** Polls with as many requests at once as its first argument says, and does what the event says. */
const POLLER = `
const api = 'http://' + process.env[process.argv[3] ?? 'AWS_LAMBDA_RUNTIME_API'] + (process.argv[4] ?? '/2018-06-01') + '/runtime';
const http = require('node:http');
const agent = new http.Agent({ keepAlive: true, maxSockets: 100 });
function call(method, path, body, headers = {}) {
  return new Promise((resolve, reject) => {
    const request = http.request(api + path, { method, agent, headers }, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, text: Buffer.concat(chunks).toString() }));
    });
    request.on('error', reject);
    if (typeof body === 'function') body(request); else request.end(body);
  });
}
async function loop() {
  for (;;) {
    const work = await call('GET', '/invocation/next');
    const id = work.headers['lambda-runtime-aws-request-id'] ?? work.headers['x-fc-request-id'];
    const [what, arg = ''] = work.text.split(' ');
    const answer = '/invocation/' + id + '/response';
    if (what === 'headers') await call('POST', answer, JSON.stringify(work.headers));
    else if (what === 'env') await call('POST', answer, JSON.stringify(process.env));
    else if (what === 'error') await call('POST', '/invocation/' + id + '/error', JSON.stringify({ errorType: 'Odd', errorMessage: arg, stackTrace: ['at here'] }));
    else if (what === 'panic') { await call('POST', '/invocation/' + id + '/error', JSON.stringify({ errorType: 'Panic', errorMessage: 'gone' })); process.exit(1); }
    else if (what === 'exit') process.exit(7);
    else if (what === 'forget') continue;
    else if (what === 'twice') {
      const wrong = await call('POST', '/invocation/nobody/response', 'x');
      const first = await call('POST', answer, 'the first');
      const second = await call('POST', answer, 'the second');
      console.log(JSON.stringify([wrong.status, first.status, second.status, wrong.text]));
    }
    else if (what === 'stream') await call('POST', answer, (request) => {
      request.write('one '); setTimeout(() => request.write('two '), 50);
      setTimeout(() => {
        if (arg === 'fail') request.addTrailers({ 'Lambda-Runtime-Function-Error-Type': 'Broke', 'Lambda-Runtime-Function-Error-Body': Buffer.from('{"errorMessage":"midway"}').toString('base64') });
        request.end('three');
      }, 100);
    }, { 'Lambda-Runtime-Function-Response-Mode': 'streaming', 'Transfer-Encoding': 'chunked', Trailer: 'Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body' });
    else { await new Promise((resolve) => setTimeout(resolve, 200)); await call('POST', answer, process.env.FC_INSTANCE_ID + ' ' + arg); }
  }
}
for (let at = 0; at < Number(process.argv[2] ?? 1); at += 1) void loop();`;

function poller(
  platform: Platform,
  name: string,
  args: readonly string[] = [],
  fields: Readonly<Record<string, unknown>> = {},
): Promise<string> {
  return createFunction(platform, name, {
    code: { 'poller.cjs': POLLER },
    fields: {
      runtime: 'custom',
      customRuntimeConfig: { command: ['node', 'poller.cjs'], args },
      ...fields,
    },
  });
}

test('runtimes that poll', { concurrency: 4 }, async (t) => {
  const platform = await startPlatform(t);

  await Promise.all([
    t.test("Lambda's headers and variables", async () => {
      await poller(platform, 'lambda', [], { timeout: 10, environmentVariables: { TZ: 'Asia/Tokyo' } });
      const before = Date.now();
      const answer = await invoke(platform, 'lambda', 'headers');
      const headers = JSON.parse(text(answer));
      assert.equal(headers['lambda-runtime-aws-request-id'], answer.headers['x-fc-request-id']);
      const deadline = Number(headers['lambda-runtime-deadline-ms']);
      assert.ok(Number.isInteger(deadline) && deadline >= before + 10_000 && deadline <= Date.now() + 10_000);
      assert.match(
        headers['lambda-runtime-invoked-function-arn'],
        /^arn:aws:lambda:[^:]*:\d+:function:lambda$/u,
      );
      assert.match(
        headers['lambda-runtime-trace-id'],
        /^Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0$/u,
      );
      assert.equal(headers['content-type'], 'application/json');
      const env = JSON.parse(text(await invoke(platform, 'lambda', 'env')));
      assert.equal(env.AWS_LAMBDA_FUNCTION_NAME, 'lambda');
      assert.equal(env.AWS_LAMBDA_FUNCTION_VERSION, '$LATEST');
      assert.equal(env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE, '128');
      assert.equal(env['_HANDLER'], 'index.handler');
      assert.equal(env.TZ, 'Asia/Tokyo');
    }),

    t.test('errors, a dying runtime and answers to nobody', async () => {
      await poller(platform, 'failing');
      const failed = await invoke(platform, 'failing', 'error odd');
      assert.deepEqual(functionErrorOf(failed), {
        errorType: 'Odd',
        errorMessage: 'odd',
        stackTrace: ['at here'],
      });
      const first = text(await invoke(platform, 'failing', 'where'));
      const panicked = await invoke(platform, 'failing', 'panic');
      assert.equal(functionErrorOf(panicked).errorType, 'Panic');
      assert.notEqual(text(await invoke(platform, 'failing', 'where')), first);
      const exited = functionErrorOf(await invoke(platform, 'failing', 'exit'));
      assert.match(exited.errorMessage, /exited with code 7 while it handled a request/u);
      const forgotten = await invoke(platform, 'failing', 'forget');
      assert.equal(functionErrorOf(forgotten).errorType, 'Runtime.NoResponse');
      const twice = await invoke(platform, 'failing', 'twice');
      assert.equal(text(twice), 'the first');
      const after = await invoke(platform, 'failing', 'where', { headers: { 'x-fc-log-type': 'Tail' } });
      assert.ok(text(after).startsWith('c-'), logTailOf(after));
      await waitFor('the log of the second answer', async () => {
        const { stdout } = await platform.thaw(['logs', 'failing']);
        return stdout
          .toString()
          .includes(
            '[400,202,400,"{\\"errorMessage\\":\\"Invalid request ID\\",\\"errorType\\":\\"InvalidRequestID\\"}',
          );
      });
    }),

    t.test('a streamed answer', async () => {
      await poller(platform, 'streaming');
      assert.equal(text(await invoke(platform, 'streaming', 'stream')), 'one two three');
      await assert.rejects(invoke(platform, 'streaming', 'stream fail'));
      assert.equal(text(await invoke(platform, 'streaming', 'stream')), 'one two three');
    }),

    t.test('an HTTP trigger in front', async () => {
      await poller(platform, 'web');
      const path = new URL(await createHttpTrigger(platform, 'web')).pathname;
      const answer = await send(platform.url, { method: 'POST', path, body: 'x' });
      assert.equal(answer.status, 200);
      assert.match(text(answer), /^c-/u);
    }),

    t.test('as many at once as it polls for', async () => {
      await poller(platform, 'parallel', ['4'], { instanceConcurrency: 4 });
      await invoke(platform, 'parallel', 'warm');
      const answers = await Promise.all(
        Array.from({ length: 8 }, (_, at) => invoke(platform, 'parallel', `n ${at}`)),
      );
      assert.deepEqual(
        answers.map((answer) => text(answer).split(' ')[1]),
        answers.map((_, at) => String(at)),
      );
      assert.ok(new Set(answers.map((answer) => text(answer).split(' ')[0])).size <= 2);
    }),

    t.test('its API is nobody else`s', async () => {
      await poller(platform, 'hidden');
      assert.equal(
        JSON.parse(text(await invoke(platform, 'hidden', 'env'))).AWS_LAMBDA_RUNTIME_API,
        '127.0.0.1:9001',
      );
      await createFunction(platform, 'nosy', {
        code: `exports.handler = async () => {
          try { await fetch('http://127.0.0.1:9001/2018-06-01/runtime/invocation/next'); return 'reached'; }
          catch (error) { return error.cause.code; }
        };`,
      });
      assert.equal(text(await invoke(platform, 'nosy')), 'ECONNREFUSED');
    }),

    t.test('FC`s own API', async () => {
      await poller(platform, 'fc', ['1', 'FC_RUNTIME_API', '/2020-11-11'], { timeout: 10 });
      const answer = await invoke(platform, 'fc', 'headers');
      const headers = JSON.parse(text(answer));
      assert.equal(headers['x-fc-request-id'], answer.headers['x-fc-request-id']);
      assert.equal(headers['x-fc-function-type'], '0');
      assert.equal(headers['x-fc-function-timeout'], '10');
      assert.equal(headers['x-fc-function-name'], 'fc');
      assert.match(headers['x-fc-function-deadline'], /^\d{13}$/u);
    }),

    t.test('what neither listens nor polls says so', async () => {
      await createFunction(platform, 'mute', {
        code: { script: 'echo "no way" >&2; exit 3' },
        fields: { runtime: 'custom', customRuntimeConfig: { command: ['/bin/sh', 'script'] } },
      });
      const failed = functionErrorOf(await invoke(platform, 'mute'));
      assert.match(failed.errorMessage, /exited with code 3 .* nor did it poll the runtime API/u);
    }),

    t.test('a server that names no port still serves', async () => {
      await createFunction(platform, 'server', {
        code: {
          'server.cjs':
            "require('node:http').createServer((_, r) => r.end('served')).listen(9000, '0.0.0.0')",
        },
        fields: { runtime: 'custom', customRuntimeConfig: { command: ['node', '/code/server.cjs'] } },
      });
      assert.equal(text(await invoke(platform, 'server')), 'served');
    }),

    t.test('the shell example', { skip: missingProgram('curl') }, async (example) => {
      assert.ok(await deployExample(example, platform, 'lambda-bootstrap'));
      for (const name of ['Ada', 'Grace']) {
        assert.equal(
          text(await invoke(platform, 'lambda-bootstrap', name)),
          `Hello ${name}, from a shell script\n`,
        );
      }
    }),

    t.test('a Go program on aws-lambda-go', { skip: missingProgram('go') }, async (go) => {
      const program = await build(go, 'github.com/aws/aws-lambda-go@v1.55.1', LAMBDA_GO);
      if (program === undefined) return;
      await goFunction(platform, 'lambda-go', program);
      assert.equal(text(await invoke(platform, 'lambda-go', '{"name":"Ada"}')), '"Hello Ada of lambda-go"');
      const failed = functionErrorOf(await invoke(platform, 'lambda-go', '{"name":""}'));
      assert.deepEqual([failed.errorType, failed.errorMessage], ['errorString', 'a name is needed']);
      const panicked = functionErrorOf(await invoke(platform, 'lambda-go', '{"name":"panic"}'));
      assert.equal(panicked.errorMessage, 'no');
      assert.equal(text(await invoke(platform, 'lambda-go', '{"name":"Bob"}')), '"Hello Bob of lambda-go"');
    }),

    t.test("a Go program on Alibaba's SDK, with its hooks", { skip: missingProgram('go') }, async (go) => {
      const program = await build(go, 'github.com/aliyun/fc-runtime-go-sdk@v0.3.1', FC_GO);
      if (program === undefined) return;
      await goFunction(platform, 'fc-go', program, {
        instanceConcurrency: 3,
        instanceLifecycleConfig: {
          initializer: { handler: 'main', timeout: 5 },
          preFreeze: { handler: 'main', timeout: 5 },
          preStop: { handler: 'main', timeout: 5 },
        },
      });
      assert.equal(
        text(await invoke(platform, 'fc-go', '{"name":"Ada"}')),
        '"Hello Ada of fc-go, initialized 1, frozen 0"',
      );
      const failed = functionErrorOf(await invoke(platform, 'fc-go', '{"name":""}'));
      assert.equal(failed.errorMessage, 'a name is needed');
      const answers = await Promise.all(
        ['a', 'b', 'c'].map((name) => invoke(platform, 'fc-go', `{"name":"${name}"}`)),
      );
      assert.ok(answers.every((answer) => text(answer).startsWith('"Hello ')));
      await waitFor('the freeze', async () => {
        const now = await readMetrics(platform);
        return metric(now, 'thaw_instances', { function: 'fc-go', state: 'frozen' }) === 1;
      });
      assert.match(text(await invoke(platform, 'fc-go', '{"name":"Ada"}')), /frozen [1-9]\d*"$/u);
    }),
  ]);
});

test('without isolation a runtime polls too', async (t) => {
  const platform = await startPlatform(t, { isolation: 'process' });
  await poller(platform, 'plain');
  assert.match(text(await invoke(platform, 'plain', 'where')), /^c-/u);
});

/** The program built with this module, or undefined where the module cannot be had: then the test is skipped. */
async function build(t: TestContext, module: string, source: string): Promise<Buffer | undefined> {
  const directory = join(await temporaryDirectory(t, 'thaw go '), 'function');
  await mkdir(directory);
  await writeFile(join(directory, 'go.mod'), 'module function\n\ngo 1.20\n');
  await writeFile(join(directory, 'main.go'), source);
  const go = (args: readonly string[]): Promise<unknown> =>
    run('go', args, {
      cwd: directory,
      timeout: BUILD_MS_MAX,
      env: { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-mod=mod' },
    });
  try {
    await go(['get', module]);
  } catch (error) {
    t.skip(
      `not to be had: ${module} (${error instanceof Error ? (error.message.split('\n')[1] ?? '') : ''})`,
    );
    return undefined;
  }
  await go(['build', '-o', 'bootstrap', '.']);
  return readFile(join(directory, 'bootstrap'));
}

/** The test's zip carries no permissions, so a shell makes the program one. */
function goFunction(
  platform: Platform,
  name: string,
  program: Buffer,
  fields: Readonly<Record<string, unknown>> = {},
): Promise<string> {
  return createFunction(platform, name, {
    code: { program, start: 'cp program /tmp/bootstrap && chmod +x /tmp/bootstrap && exec /tmp/bootstrap' },
    fields: { runtime: 'custom', customRuntimeConfig: { command: ['/bin/sh', 'start'] }, ...fields },
  });
}

const LAMBDA_GO = `
package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

type event struct {
	Name string \`json:"name"\`
}

func main() {
	lambda.Start(func(ctx context.Context, e event) (string, error) {
		if e.Name == "" {
			return "", errors.New("a name is needed")
		}
		if e.Name == "panic" {
			panic("no")
		}
		return fmt.Sprintf("Hello %s of %s", e.Name, lambdacontext.FunctionName), nil
	})
}
`;

const FC_GO = `
package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/aliyun/fc-runtime-go-sdk/fc"
	"github.com/aliyun/fc-runtime-go-sdk/fccontext"
)

type event struct {
	Name string \`json:"name"\`
}

var initialized, frozen atomic.Int32

func main() {
	fc.RegisterInitializerFunction(func(ctx context.Context) { initialized.Add(1) })
	fc.RegisterPreFreezeFunction(func(ctx context.Context) { frozen.Add(1) })
	fc.RegisterPreStopFunction(func(ctx context.Context) { fmt.Println("stopping") })
	fc.Start(func(ctx context.Context, e event) (string, error) {
		if e.Name == "" {
			return "", errors.New("a name is needed")
		}
		fctx, _ := fccontext.FromContext(ctx)
		return fmt.Sprintf("Hello %s of %s, initialized %d, frozen %d", e.Name, fctx.Function.Name, initialized.Load(), frozen.Load()), nil
	})
}
`;
