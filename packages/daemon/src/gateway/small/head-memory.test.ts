import assert from 'node:assert/strict';
import { it } from 'node:test';
import { HeadMemory } from './head-memory.ts';
import { smallHeadOf } from './small-request.ts';

const request = (path: string, length: number): Buffer =>
  Buffer.from(`POST ${path} HTTP/1.1\r\nHost: h\r\nContent-Length: ${length}\r\n\r\n${'x'.repeat(length)}`);

it('knows a head again, whatever body comes with it', () => {
  const memory = new HeadMemory();
  const first = request('/one', 3);
  const head = memory.headOf(first);
  assert.deepEqual(head, smallHeadOf(request('/one', 3)));
  // What was read of the connection is used for something else.
  first.fill(0);
  assert.equal(memory.headOf(request('/one', 3)), head);
  assert.equal(memory.headOf(Buffer.concat([request('/one', 3), request('/two', 1)])), head);
});

it('reads a head that differs, also in its last byte or only in its length', () => {
  const memory = new HeadMemory();
  for (const bytes of [request('/one', 3), request('/onf', 3), request('/one/', 3), request('/one', 4)]) {
    assert.deepEqual(memory.headOf(bytes), smallHeadOf(bytes));
  }
});

it('takes the beginning of a head for no head', () => {
  const memory = new HeadMemory();
  memory.headOf(request('/one', 0));
  assert.equal(memory.headOf(request('/one', 0).subarray(0, -1)), undefined);
  assert.equal(
    memory.headOf(Buffer.from('POST /one HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n')),
    undefined,
  );
  assert.equal(memory.headOf(request('/one', 0))?.url, '/one');
});

it('reads rightly what differs every time, and what is long', () => {
  const memory = new HeadMemory();
  for (let call = 0; call < 50; call += 1)
    assert.equal(memory.headOf(request(`/${call}`, 0))?.url, `/${call}`);
  const long = `/${'a'.repeat(3000)}`;
  for (let call = 0; call < 3; call += 1) assert.equal(memory.headOf(request(long, 0))?.url, long);
});
