import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { Client } from '../api/client.ts';
import { LiveSession } from './live-session.ts';

interface LiveServer extends AsyncDisposable {
  readonly client: Client;
  readonly lines: readonly unknown[];
  readonly closed: Promise<void>;
}

/** Answers every line of a live session as the platform does: `answer` gets the number of lines so far. */
async function startLiveServer(
  answer: (count: number, response: ServerResponse) => void,
): Promise<LiveServer> {
  const lines: unknown[] = [];
  const { promise: closed, resolve } = Promise.withResolvers<void>();
  const server = createServer((request, response) => {
    response.once('close', resolve);
    const reader = createInterface({ input: request });
    reader.on('line', (line) => {
      lines.push(JSON.parse(line));
      answer(lines.length, response);
    });
    // A client that closes the session breaks its request off.
    reader.on('error', () => undefined);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const keys = { accessKeyId: 'a', accessKeySecret: 'b' };
  const client = new Client({ url: `http://127.0.0.1:${port}`, ...keys }, new AbortController().signal);
  return {
    client,
    lines,
    closed,
    async [Symbol.asyncDispose]() {
      client.close();
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

const giveRevision = (count: number, response: ServerResponse): void => {
  response.write(`{"revision":"r${count}"}\n`);
};

test('names the directory, tells of changes, gets a revision for each, and closes quietly', async () => {
  await using server = await startLiveServer(giveRevision);
  const session = await LiveSession.open(server.client, 'f', '/code');
  assert.deepEqual(await Promise.all([session.changed(), session.changed()]), ['r2', 'r3']);
  session.close();
  await Promise.all([session.ended, server.closed]);
  assert.deepEqual(server.lines, [{ directory: '/code' }, {}, {}]);
});

test('fails where the platform refuses, before and after it began to answer', async () => {
  await using refusing = await startLiveServer((_count, response) => {
    response.writeHead(404).end('{"Code":"FUNCTION_NOT_FOUND","Message":"no f"}');
  });
  await assert.rejects(LiveSession.open(refusing.client, 'f', '/code'), { code: 'FUNCTION_NOT_FOUND' });
  await using breaking = await startLiveServer((count, response) => {
    if (count === 1) giveRevision(count, response);
    else response.end('{"Code":"INVALID_ARGUMENT","Message":"gone"}\n');
  });
  const session = await LiveSession.open(breaking.client, 'f', '/code');
  const ended = assert.rejects(session.ended, { code: 'INVALID_ARGUMENT' });
  await assert.rejects(session.changed(), { code: 'INVALID_ARGUMENT', message: 'gone' });
  await ended;
});

test('fails when the platform goes away', async () => {
  await using server = await startLiveServer((count, response) => {
    if (count === 1) giveRevision(count, response);
    else response.destroy();
  });
  const session = await LiveSession.open(server.client, 'f', '/code');
  const ended = assert.rejects(session.ended, { code: 'PLATFORM_UNREACHABLE' });
  await assert.rejects(session.changed(), { code: 'PLATFORM_UNREACHABLE' });
  await ended;
});
