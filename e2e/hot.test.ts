import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { startPlatform, temporaryDirectory, type Platform } from '@thaw/testkit/platform.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { deployExample } from './fixtures/deploy-example.ts';
import { metric, readMetrics } from './fixtures/metrics.ts';
import { missingProgram } from './fixtures/requirements.ts';
import { createFunction, createHttpTrigger, functionErrorOf, invoke } from './support/functions.ts';
import { send, type Answer } from './support/http-call.ts';

const run = promisify(execFile);

/** Does what its payload says; every answer names the process and the request that it is for. */
const PROGRAM = `
const served = process.hrtime.bigint().toString(36);
const write = (text) => process.stdout.write(text);
const answer = (body, head = '200 OK') =>
  write('HTTP/1.1 ' + head + '\\r\\nX-Own: 1\\r\\nContent-Length: ' + Buffer.byteLength(body) + '\\r\\n\\r\\n' + body);
let rest = Buffer.alloc(0);
process.stdin.on('data', (chunk) => {
  rest = Buffer.concat([rest, chunk]);
  for (;;) {
    const end = rest.indexOf('\\r\\n\\r\\n');
    if (end === -1) return;
    const lines = rest.subarray(0, end).toString('latin1').split('\\r\\n');
    const headers = Object.fromEntries(lines.slice(1).map((line) => line.split(/: ?(.*)/s)));
    const length = Number(headers['Content-Length']);
    if (rest.length < end + 4 + length) return;
    const payload = rest.subarray(end + 4, end + 4 + length).toString();
    rest = rest.subarray(end + 4 + length);
    serve(lines[0], headers, payload);
  }
});
process.stdin.on('end', () => process.exit(0));
function serve(line, headers, payload) {
  const [what, text = ''] = payload.split(' ');
  if (what === 'tell') answer(JSON.stringify({ served, line, headers, length: payload.length }));
  else if (what === 'teapot') answer('short and stout', '418 Teapot');
  else if (what === 'late') setTimeout(answer, 1500, 'the late answer');
  else if (what === 'unframed') write('HTTP/1.1 200 OK\\r\\n\\r\\nhello');
  else if (what === 'garbage') write('hello\\n');
  else if (what === 'exit') { console.error('bye'); process.exit(3); }
  else setTimeout(answer, 20, served + ' ' + text);
}`;

function hot(
  platform: Platform,
  name: string,
  hotConfig: Record<string, unknown>,
  fields: Record<string, unknown> = {},
): Promise<string> {
  return createFunction(platform, name, {
    code: { 'program.cjs': PROGRAM },
    fields: {
      runtime: 'hot',
      customRuntimeConfig: { command: ['node', '/code/program.cjs'] },
      hotConfig,
      ...fields,
    },
  });
}

function shell(
  platform: Platform,
  name: string,
  script: string,
  hotConfig = {},
  fields = {},
): Promise<string> {
  return createFunction(platform, name, {
    code: { script },
    fields: {
      runtime: 'hot',
      customRuntimeConfig: { command: ['/bin/sh', 'script'] },
      hotConfig: { format: 'default', maxConcurrency: 4, ...hotConfig },
      ...fields,
    },
  });
}

test('hot functions', { concurrency: 4 }, async (t) => {
  const platform = await startPlatform(t);
  const text = (answer: Answer): string => answer.body.toString();

  await Promise.all([
    t.test('one process serves many requests, and is told what IronFunctions tells', async () => {
      await hot(platform, 'teller', {}, { environmentVariables: { my_key: 'value' } });
      const told = [];
      for (let call = 0; call < 3; call += 1)
        told.push(JSON.parse(text(await invoke(platform, 'teller', 'tell'))));
      assert.equal(new Set(told.map(({ served }) => served)).size, 1);
      const [{ line, headers }] = told;
      assert.equal(line, 'GET / HTTP/1.1');
      assert.equal(headers.Host, '');
      assert.equal(headers['Content-Length'], '4');
      assert.match(headers['Task-ID'], /^1-/u);
      assert.equal(headers.MY_KEY, 'value');
      const large = `tell ${'x'.repeat(3_000_000)}`;
      assert.equal(JSON.parse(text(await invoke(platform, 'teller', large))).length, large.length);
    }),

    t.test('a trigger gets the status, the invoke API does not', async () => {
      await hot(platform, 'teapot', {});
      const path = `${new URL(await createHttpTrigger(platform, 'teapot')).pathname.replace(/\/$/u, '')}/a/b?x=1`;
      const direct = await invoke(platform, 'teapot', 'teapot');
      assert.deepEqual([direct.status, text(direct)], [200, 'short and stout']);
      const web = await send(platform.url, { method: 'PUT', path, body: 'teapot' });
      assert.deepEqual([web.status, web.headers['x-own'], text(web)], [418, '1', 'short and stout']);
      const { headers } = JSON.parse(text(await send(platform.url, { method: 'PUT', path, body: 'tell' })));
      assert.deepEqual([headers.METHOD, headers.ROUTE, headers.PARAM_X], ['PUT', '/a/b', '1']);
    }),

    t.test('after a timeout the next answer is the right one', async () => {
      await hot(platform, 'slow', {}, { timeout: 1 });
      const [before] = text(await invoke(platform, 'slow', 'echo 1')).split(' ');
      const late = await invoke(platform, 'slow', 'late');
      assert.equal(functionErrorOf(late).errorType, 'FunctionTimedOut');
      const [after, echoed] = text(await invoke(platform, 'slow', 'echo 2')).split(' ');
      assert.equal(echoed, '2');
      assert.notEqual(after, before);
    }),

    t.test('a process that breaks the protocol serves nobody after that', async () => {
      await hot(platform, 'broken', {});
      for (const what of ['unframed', 'garbage']) {
        const [before] = text(await invoke(platform, 'broken', 'echo')).split(' ');
        const answer = await invoke(platform, 'broken', what);
        assert.equal(functionErrorOf(answer).errorType, 'ResponseInvalid');
        const [after, echoed] = text(await invoke(platform, 'broken', `echo ${what}`)).split(' ');
        assert.equal(echoed, what);
        assert.notEqual(after, before);
      }
      const ended = functionErrorOf(await invoke(platform, 'broken', 'exit'));
      assert.equal(ended.errorType, 'ProcessExited');
      assert.match(ended.errorMessage, /exited with code 3/u);
    }),

    t.test('a burst has no more processes than are allowed, and every answer is its own', async () => {
      await hot(platform, 'burst', { maxConcurrency: 2 });
      const answers = await Promise.all(
        Array.from({ length: 60 }, (_, call) => invoke(platform, 'burst', `echo ${call}`)),
      );
      const processes = new Set(answers.map((answer) => text(answer).split(' ')[0]));
      assert.deepEqual(
        answers.map((answer) => text(answer).split(' ')[1]),
        answers.map((_, call) => String(call)),
      );
      assert.ok(processes.size <= 2, `${processes.size} processes`);
    }),

    t.test('an idle process ends after its idle timeout', async () => {
      await hot(platform, 'idler', { idleTimeout: 1 });
      const [first] = text(await invoke(platform, 'idler', 'echo')).split(' ');
      await waitFor('the instance to go', async () => {
        return metric(await readMetrics(platform), 'thaw_instances', { function: 'idler' }) === 0;
      });
      assert.notEqual(text(await invoke(platform, 'idler', 'echo')).split(' ')[0], first);
    }),

    t.test('format default: payload on stdin, answer on stdout, the rest in variables', async () => {
      const script = 'read line; echo "$line|$METHOD|$ROUTE|$HEADER_X_ODD|$PARAM_A$MY_KEY"; cat >&2';
      await shell(platform, 'script', script, {}, { environmentVariables: { my_key: '!', path: 'not it' } });
      assert.equal(text(await invoke(platform, 'script', 'one\ntwo')), 'one|POST|/invoke||!\n');
      const base = new URL(await createHttpTrigger(platform, 'script')).pathname.replace(/\/$/u, '');
      const answer = await send(platform.url, {
        method: 'PUT',
        path: `${base}/x/y?a=it%27s%20%24HOME%0Ame`,
        headers: { 'x-odd': '$(id) "quoted"' },
        body: 'payload\n',
      });
      assert.equal(text(answer), `payload|PUT|/x/y|$(id) "quoted"|it's $HOME\nme!\n`);
      assert.equal(answer.headers['content-type'], 'text/plain; charset=utf-8');
    }),

    t.test('format default: a program need not read its payload, and may fail', async () => {
      await shell(platform, 'deaf', 'head -c 300000 /dev/zero | tr "\\\\0" x');
      const deaf = text(await invoke(platform, 'deaf', 'y'.repeat(2_000_000)));
      assert.ok(deaf === 'x'.repeat(300_000), deaf.slice(0, 200));
      await shell(platform, 'failing', 'echo never seen; echo "no such order" >&2; exit 4');
      const failed = functionErrorOf(await invoke(platform, 'failing', ''));
      assert.equal(failed.errorType, 'ProcessExited');
      assert.match(failed.errorMessage, /exited with code 4.*no such order/su);
    }),

    t.test('format default: concurrent requests are processes of their own', async () => {
      await shell(platform, 'many', 'read a; sleep 0.1; echo "$a"');
      const answers = await Promise.all(
        Array.from({ length: 12 }, (_, call) => invoke(platform, 'many', `call ${call}\n`)),
      );
      assert.deepEqual(
        answers.map(text),
        answers.map((_, call) => `call ${call}\n`),
      );
      assert.equal(new Set(answers.map(({ headers }) => headers['x-fc-instance-id'])).size, 12);
    }),

    t.test('the shell example', async (example) => {
      assert.ok(await deployExample(example, platform, 'hot-shell'));
      const called = await platform.thaw(['invoke', 'hot-shell', '-d', 'Ada']);
      assert.equal(called.stdout.toString(), 'Hello Ada!\n', called.stderr);
    }),

    t.test('the Go example', { skip: missingProgram('go') }, async (example) => {
      assert.ok(await deployExample(example, platform, 'hot-go'));
      for (const name of ['Ada', 'Grace']) {
        assert.match(text(await invoke(platform, 'hot-go', name)), new RegExp(`^Hello ${name}\nENV: `, 'u'));
      }
    }),

    t.test("the document's cycle as it stands", { skip: missingProgram('go') }, async (cycle) => {
      const directory = await temporaryDirectory(cycle, 'thaw hot go ');
      await writeFile(join(directory, 'go.mod'), 'module cycle\n\ngo 1.20\n');
      await writeFile(join(directory, 'main.go'), DOCUMENT);
      await run('go', ['build', '-o', 'func', '.'], { cwd: directory });
      await createFunction(platform, 'cycle', {
        code: {
          func: await readFile(join(directory, 'func')),
          start: 'cp func /tmp/f; chmod +x /tmp/f; exec /tmp/f',
        },
        fields: { runtime: 'hot', customRuntimeConfig: { command: ['/bin/sh', 'start'] } },
      });
      for (const name of ['World', '', 'again']) {
        assert.match(text(await invoke(platform, 'cycle', name)), new RegExp(`^Hello ${name}\nENV: `, 'u'));
      }
    }),
  ]);
});

/** The three steps of the hot-functions document, put together as it says and otherwise as they are there. */
const DOCUMENT = `
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io/ioutil"
	"net/http"
	"os"
	"strconv"
)

func main() {
	for {
		res := http.Response{
			Proto:      "HTTP/1.1",
			ProtoMajor: 1,
			ProtoMinor: 1,
			StatusCode: 200,
			Status:     "OK",
		}

		r := bufio.NewReader(os.Stdin)
		req, err := http.ReadRequest(r)

		var buf bytes.Buffer
		if err != nil {
			fmt.Fprintln(&buf, err)
		} else {
			l, _ := strconv.Atoi(req.Header.Get("Content-Length"))
			p := make([]byte, l)
			r.Read(p)

			fmt.Fprintf(&buf, "Hello %s\\n", p)
			for k, vs := range req.Header {
				fmt.Fprintf(&buf, "ENV: %s %#v\\n", k, vs)
			}
		}

		res.Body = ioutil.NopCloser(&buf)
		res.ContentLength = int64(buf.Len())
		res.Write(os.Stdout)
	}
}
`;
