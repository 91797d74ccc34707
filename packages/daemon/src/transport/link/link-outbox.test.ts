import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it, type TestContext } from 'node:test';
import { LinkOutbox } from './link-outbox.ts';

async function openPair(t: TestContext): Promise<{ readonly near: Socket; readonly far: Socket }> {
  const directory = await mkdtemp(join(tmpdir(), 'thaw-outbox-'));
  t.after(() => rm(directory, { recursive: true }));
  const path = join(directory, 's');
  const far = Promise.withResolvers<Socket>();
  const server = createServer(far.resolve);
  await new Promise<void>((resolve) => {
    server.listen(path, resolve);
  });
  const near = connect(path);
  const accepted = await far.promise;
  server.close();
  t.after(() => {
    near.destroy();
    accepted.destroy();
  });
  return { near, far: accepted };
}

function received(socket: Socket, bytes: number): Promise<Buffer> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let have = 0;
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      have += chunk.length;
      if (have >= bytes) resolve(Buffer.concat(chunks));
    });
  });
}

it('keeps the order of frames, whichever waits for the end of the turn and whatever their size', async (t) => {
  const { near, far } = await openPair(t);
  const outbox = new LinkOutbox(near);
  const frames: Buffer[] = [];
  const bytes = received(far, 20 * (3 + 40_000 + 5) + 60);
  for (let turn = 0; turn < 20; turn += 1) {
    for (const [at, size] of [3, 40_000, 5].entries()) {
      const frame = Buffer.alloc(size, turn * 3 + at);
      frames.push(frame);
      if (turn % 5 === 4 && at === 1) outbox.sendNow(frame);
      else outbox.send(frame);
    }
    const small = Buffer.alloc(3, turn + 100);
    frames.push(small);
    if (turn % 2 === 0) await new Promise((resolve) => setImmediate(resolve));
    outbox.sendNow(small);
  }
  const whole = Buffer.concat(frames);
  assert.ok((await bytes).equals(whole));
});

it('lets go of what waits when the connection is gone', async (t) => {
  const { near } = await openPair(t);
  const errors: Error[] = [];
  near.on('error', (error) => errors.push(error));
  const outbox = new LinkOutbox(near);
  outbox.send(Buffer.from('a'));
  near.destroy();
  outbox.send(Buffer.from('b'));
  await new Promise((resolve) => setImmediate(resolve));
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(errors, []);
});
