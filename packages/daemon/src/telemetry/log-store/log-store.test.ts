import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import * as fc from 'fast-check';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { ManualClock } from '../../base/clock.ts';
import type { FunctionLogBounds } from './function-log.ts';
import { LOG_SPLIT_MARKER, LOG_TEXT_BYTES_MAX, splitLine, type LogLine } from './log-line.ts';
import { LogStore, type LogQuery } from './log-store.ts';

const SEGMENTS_MAX = 4;
const SMALL: Partial<FunctionLogBounds> = { segmentBytesMax: 100_000, segmentsMax: SEGMENTS_MAX };

async function temporaryStore(bounds: Partial<FunctionLogBounds> = {}) {
  const path = await mkdtemp(join(tmpdir(), 'thaw-logs-'));
  const failures: unknown[] = [];
  const open = () =>
    new LogStore({
      directory: path,
      clock: new ManualClock(5),
      bounds,
      onFailure: (error) => failures.push(error),
    });
  const store = open();
  return {
    path,
    store,
    open,
    failures,
    [Symbol.asyncDispose]: async () => {
      await store.close();
      await rm(path, { recursive: true });
    },
  };
}

function line(n: number, change: Partial<LogLine> = {}): LogLine {
  return {
    time: n,
    functionName: 'f',
    versionId: 'LATEST',
    requestId: 'r1',
    instanceId: 'c-1',
    source: 'stdout',
    text: `line ${n}`,
    ...change,
  };
}

async function textsOf(store: LogStore, query: Partial<LogQuery> = {}): Promise<string[]> {
  const texts: string[] = [];
  for await (const { text } of store.read({ functionName: 'f', limit: 1_000_000, ...query }))
    texts.push(text);
  return texts;
}

const refused = (error: unknown) => error instanceof ThawError && error.code === 'INVALID_ARGUMENT';

describe('LogStore', () => {
  it('finds 10,000 interleaved lines of 50 requests, each under its own, across segments and unflushed', async () => {
    await using t = await temporaryStore({ segmentBytesMax: 200_000, segmentsMax: 50 });
    const written: LogLine[] = [];
    const sources = ['stdout', 'stderr', 'platform'] as const;
    for (let n = 0; n < 10_000; n += 1) {
      const text = `text ${n} "requestId":"r${(n + 1) % 50}",\nü\u0000`;
      const next = line(n, { requestId: `r${n % 50}`, text, source: sources[n % 3] ?? 'stdout' });
      written.push(next);
      t.store.append(next);
      if (n % 3_000 === 2_999) await t.store.flush();
    }
    for (let request = 0; request < 50; request += 1) {
      const found: LogLine[] = [];
      for await (const one of t.store.read({ functionName: 'f', requestId: `r${request}`, limit: 1_000 }))
        found.push(one);
      assert.deepEqual(
        found,
        written.filter((_, n) => n % 50 === request),
      );
    }
    assert.ok((await readdir(join(t.path, 'f'))).length > 5);
    assert.deepEqual(
      await textsOf(t.store),
      written.map(({ text }) => text),
    );
  });

  it('reads the first or the last lines, since a time, of one function, also after opening again', async () => {
    await using t = await temporaryStore({ segmentBytesMax: 2_000, segmentsMax: 100 });
    const texts = Array.from({ length: 200 }, (_, n) => `line ${n}`);
    for (let n = 0; n < 200; n += 1) t.store.append(line(n, { requestId: n === 77 ? 'rare' : 'r1' }));
    t.store.append(line(1, { functionName: 'other', text: 'of another' }));
    const check = async (store: LogStore) => {
      assert.deepEqual(await textsOf(store), texts);
      assert.deepEqual(await textsOf(store, { limit: 3 }), texts.slice(0, 3));
      assert.deepEqual(await textsOf(store, { limit: 90, tail: true }), texts.slice(-90));
      assert.deepEqual(await textsOf(store, { sinceMs: 190, limit: 5 }), texts.slice(190, 195));
      assert.deepEqual(await textsOf(store, { sinceMs: 190, limit: 50, tail: true }), texts.slice(190));
      assert.deepEqual(await textsOf(store, { requestId: 'rare' }), ['line 77']);
      assert.deepEqual(await textsOf(store, { requestId: 'rare', tail: true, limit: 9 }), ['line 77']);
      assert.deepEqual(await textsOf(store, { requestId: 'none' }), []);
      assert.deepEqual(await textsOf(store, { limit: 0 }), []);
      assert.deepEqual(await textsOf(store, { functionName: 'other' }), ['of another']);
      assert.deepEqual(await textsOf(store, { functionName: 'unknown' }), []);
    };
    await check(t.store);
    await t.store.close();
    const again = t.open();
    await check(again);
    await again.close();
  });

  it('flushes by itself, without a read', async () => {
    await using t = await temporaryStore();
    t.store.append(line(1));
    const file = join(t.path, 'f', '00000001.ndjson');
    const deadline = performance.now() + 10_000;
    let size = 0;
    while (size === 0 && performance.now() < deadline) {
      size = await stat(file).then(
        (found) => found.size,
        () => 0,
      );
    }
    assert.ok(size > 0);
  });

  it('keeps the bounds of segments and drops the oldest', async () => {
    await using t = await temporaryStore(SMALL);
    for (let n = 0; n < 20_000; n += 1) {
      t.store.append(line(n));
      if (n % 500 === 0) await t.store.flush();
    }
    await t.store.flush();
    const names = await readdir(join(t.path, 'f'));
    assert.equal(names.length, SEGMENTS_MAX);
    for (const name of names) assert.ok((await stat(join(t.path, 'f', name))).size <= 100_000);
    const texts = await textsOf(t.store);
    assert.equal(texts.at(-1), 'line 19999');
    assert.deepEqual(
      texts,
      Array.from({ length: texts.length }, (_, n) => `line ${20_000 - texts.length + n}`),
    );
    assert.ok(texts.length > 2_000);
  });

  it('tells followers each line once, and read and follow of one turn miss nothing', async () => {
    await using t = await temporaryStore();
    t.store.append(line(0));
    const live: string[] = [];
    const history = textsOf(t.store, { requestId: 'r1' });
    const stop = t.store.follow({ functionName: 'f', requestId: 'r1' }, ({ text }) => live.push(text));
    for (let n = 1; n < 300; n += 1) {
      t.store.append(line(n));
      t.store.append(line(n, { requestId: 'r2' }));
      t.store.append(line(n, { functionName: 'g' }));
      if (n % 100 === 0) await t.store.flush();
    }
    stop();
    t.store.append(line(300));
    await t.store.flush();
    assert.deepEqual(
      [...(await history), ...live],
      Array.from({ length: 300 }, (_, n) => `line ${n}`),
    );
  });

  it('ends a follower that throws and goes on', async () => {
    await using t = await temporaryStore();
    t.store.follow({ functionName: 'f' }, () => {
      throw new Error('the connection is gone');
    });
    t.store.append(line(1));
    t.store.append(line(2));
    assert.equal(t.failures.length, 1);
    assert.deepEqual(await textsOf(t.store), ['line 1', 'line 2']);
  });

  it('bounds its buffer, and says to each request how many lines it lost', async () => {
    await using t = await temporaryStore({ bufferBytesMax: 10_000 });
    for (let n = 0; n < 1_000; n += 1) t.store.append(line(n, { requestId: n % 2 === 0 ? 'even' : 'odd' }));
    for (const requestId of ['even', 'odd']) {
      const texts = await textsOf(t.store, { requestId });
      const dropped = Number(/^(\d+) log lines were dropped/.exec(texts.at(-1) ?? '')?.[1]);
      assert.equal(texts.length - 1 + dropped, 500);
      assert.ok(dropped > 400);
    }
    t.store.append(line(2_000, { requestId: 'later' }));
    assert.deepEqual(await textsOf(t.store, { requestId: 'later' }), ['line 2000']);
  });

  it('reports lines that the disk refused once it takes lines again', async () => {
    await using t = await temporaryStore();
    await writeFile(join(t.path, 'f'), 'a file where the directory should be');
    t.store.append(line(1));
    t.store.append(line(2));
    await t.store.flush();
    assert.equal(t.failures.length, 1);
    await rm(join(t.path, 'f'));
    t.store.append(line(3));
    assert.deepEqual(
      (await textsOf(t.store)).map((text) => text.slice(0, 30)),
      ['line 3', '2 log lines were dropped: they'],
    );
  });

  it('splits long lines with a marker, whole characters each', async () => {
    await using t = await temporaryStore();
    const text = 'ab€'.repeat(50_000);
    t.store.append(line(1, { text }));
    const parts = await textsOf(t.store);
    assert.equal(parts.length, 4);
    for (const part of parts.slice(0, -1)) assert.ok(part.endsWith(LOG_SPLIT_MARKER));
    assert.equal(parts.map((part) => part.replace(LOG_SPLIT_MARKER, '')).join(''), text);

    const long = fc.string({ unit: 'grapheme-composite', minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(long, (unit) => {
        const whole = unit.repeat(Math.ceil(150_000 / unit.length));
        const split = splitLine(line(1, { text: whole })).map((part) =>
          part.text.replace(LOG_SPLIT_MARKER, ''),
        );
        assert.equal(split.join(''), whole);
        for (const part of split) assert.ok(Buffer.byteLength(part) <= LOG_TEXT_BYTES_MAX);
      }),
      { numRuns: 20 },
    );
  });

  it('takes the longest line that encoding can make, forward and backward', async () => {
    await using t = await temporaryStore();
    for (let n = 0; n < 5; n += 1) t.store.append(line(n, { text: '\u0001'.repeat(LOG_TEXT_BYTES_MAX) }));
    assert.equal((await textsOf(t.store)).length, 5);
    assert.equal((await textsOf(t.store, { tail: true, limit: 4 })).length, 4);
  });

  it('removes a function, which may come again', async () => {
    await using t = await temporaryStore();
    t.store.append(line(1));
    await t.store.flush();
    t.store.append(line(2));
    await t.store.removeFunction('f');
    await t.store.removeFunction('never-seen');
    assert.deepEqual(await readdir(t.path), []);
    t.store.append(line(3));
    assert.deepEqual(await textsOf(t.store), ['line 3']);
  });

  it('refuses names that are no function', async () => {
    await using t = await temporaryStore();
    for (const functionName of ['', '../x', 'a/b', 'x'.repeat(65)]) {
      assert.throws(() => t.store.read({ functionName, limit: 1 }), refused);
      assert.throws(() => t.store.append(line(1, { functionName })), refused);
    }
  });

  it('cuts a torn last line and goes on behind the whole ones', async () => {
    await using t = await temporaryStore();
    t.store.append(line(1));
    await t.store.close();
    await appendFile(join(t.path, 'f', '00000001.ndjson'), '{"time":2,"requestId":"r1","te');
    const again = t.open();
    again.append(line(3));
    assert.deepEqual(await textsOf(again), ['line 1', 'line 3']);
    await again.close();
  });

  it('has every flushed line after kill -9, in order and once', async () => {
    await using t = await temporaryStore();
    const writer = fileURLToPath(new URL('log-store-writer.ts', import.meta.url));
    for (const requestId of ['first', 'second']) {
      const child = spawn(process.execPath, [writer, t.path, requestId], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const exited = once(child, 'exit');
      let flushed = 0;
      for await (const said of createInterface({ input: child.stdout })) {
        flushed = Number(said);
        if (flushed === 300) child.kill('SIGKILL');
      }
      await exited;
      const store = new LogStore({ directory: t.path, clock: new ManualClock(), bounds: {} });
      const texts = await textsOf(store, { requestId });
      await store.close();
      assert.ok(flushed >= 300 && texts.length >= flushed);
      assert.deepEqual(
        texts,
        Array.from({ length: texts.length }, (_, n) => `line ${n + 1}`),
      );
    }
  });
});
