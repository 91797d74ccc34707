import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { connectOutput } from '../sandbox/launcher/output-sockets.ts';
import { readOutput } from './output-reader.ts';

const ID = `c-65a1f2c0-${'0'.repeat(53)}`;

async function listening(
  t: TestContext,
): Promise<{ path: string; told: string[]; closed: () => Promise<void> }> {
  const directory = await mkdtemp(join(tmpdir(), 'thaw-output-'));
  t.after(() => rm(directory, { recursive: true }));
  const path = join(directory, 's');
  const told: string[] = [];
  const server = createServer();
  readOutput(server, (source, text) => told.push(`${source}: ${text}`));
  const ended: Promise<unknown>[] = [];
  server.on('connection', (socket) => ended.push(once(socket, 'close')));
  server.listen(path);
  await once(server, 'listening');
  const closed = async (): Promise<void> => {
    server.close();
    await once(server, 'close');
    await Promise.all(ended);
  };
  return { path, told, closed };
}

test('takes what the launcher connects and hands lines on with their stream', async (t) => {
  const { path, told, closed } = await listening(t);
  const socket = await connectOutput(path, 'stderr', ID);
  socket.write('one\ntwo\nthe rest');
  socket.end();
  await closed();
  assert.equal(told.map((text) => text.replaceAll('stderr: ', '')).join(''), 'one\ntwo\nthe rest');
  assert.ok(told.every((text) => text.startsWith('stderr: ')));
});

test('ends a connection that does not say which stream it is', async (t) => {
  const { path, told, closed } = await listening(t);
  const socket = connect(path);
  socket.on('error', () => undefined);
  socket.write('x'.repeat(200));
  await once(socket, 'close');
  await closed();
  assert.deepEqual(told, []);
});
