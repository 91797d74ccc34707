import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { assert as assertProperty, asyncProperty, string, uint8Array } from 'fast-check';
import { requestLine, waitingCommand } from './request-starter.ts';

/** What the program sees: its environment, and the bytes on its stdin. */
async function start(
  variables: ReadonlyMap<string, string>,
  payload: Buffer,
): Promise<{ environment: Map<string, string>; payload: Buffer }> {
  const [program, ...args] = waitingCommand(['/bin/sh', '-c', 'env -0; printf %s = ; cat']);
  const child = spawn(program, args, {
    env: { PATH: process.env['PATH'] },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  child.stdin.write(requestLine(variables));
  child.stdin.end(payload);
  const output = await buffer(child.stdout);
  const end = output.lastIndexOf('\0=');
  const lines = output.subarray(0, end).toString('utf8').split('\0');
  const environment = new Map(
    lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  );
  return { environment, payload: output.subarray(end + 2) };
}

test('every value arrives as it is, and every byte of the payload', async () => {
  const value = string({ unit: 'binary', maxLength: 60 }).map((text) =>
    text.replaceAll('\0', '').toWellFormed(),
  );
  await assertProperty(
    asyncProperty(value, uint8Array({ maxLength: 200 }), async (text, bytes) => {
      const payload = Buffer.from(bytes).map((byte) => (byte === 0 ? 1 : byte));
      const seen = await start(new Map([['HEADER_X', text]]), Buffer.from(payload));
      assert.equal(seen.environment.get('HEADER_X'), text);
      assert.deepEqual(seen.payload, Buffer.from(payload));
    }),
    { numRuns: 40 },
  );
});

test('quotes, line ends, substitutions and bytes that shells use for themselves', async () => {
  const texts = [
    `it's`,
    `'; exit 3; '`,
    '$(exit 3)',
    '`exit 3`',
    'a\nb\n\n',
    '\\',
    '\u0081\u0082\u0088 é 漢',
    ' a  b ',
    '',
  ];
  const variables = new Map(texts.map((text, at) => [`PARAM_${at}`, text]));
  const { environment } = await start(variables, Buffer.alloc(0));
  for (const [name, text] of variables) assert.equal(environment.get(name), text);
  const own = [...environment.keys()].filter((name) => name.startsWith('THAW'));
  assert.deepEqual(own, []);
});

test('a name that is none is refused', () => {
  assert.throws(() => requestLine(new Map([['A=B;rm', '']])), /no name/u);
});
