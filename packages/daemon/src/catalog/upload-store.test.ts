import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { ManualClock } from '../base/clock.ts';
import { UPLOAD_LIFETIME_MS, UPLOADS_MAX, UploadStore } from './upload-store.ts';

async function inDirectory(work: (directory: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'thaw-uploads-'));
  try {
    await work(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

test('an upload can be read until it has expired, and is then deleted', () =>
  inDirectory(async (directory) => {
    const clock = new ManualClock(1_800_000_000_000);
    const uploads = new UploadStore(directory, clock);
    assert.equal(
      await uploads.put('a/b.zip', Readable.from([Buffer.from('zi'), Buffer.from('p')])),
      'ADCDBD79A8D84175C229B192AADC02F2',
    );
    assert.equal(await text(await uploads.read('a/b.zip')), 'zip');
    await assert.rejects(uploads.read('a/c.zip'), { code: 'INVALID_ARGUMENT' });
    clock.advance(UPLOAD_LIFETIME_MS);
    await assert.rejects(uploads.read('a/b.zip'), { code: 'INVALID_ARGUMENT' });
    await uploads.put('new', Buffer.from('x'));
    assert.equal((await readdir(directory)).length, 1);
  }));

test('an upload that is too large or ends early leaves nothing behind', () =>
  inDirectory(async (directory) => {
    const uploads = new UploadStore(directory, new ManualClock(1_800_000_000_000));
    await assert.rejects(uploads.put('big', Buffer.from('12345'), 4), { code: 'PAYLOAD_TOO_LARGE' });
    const cut = new Readable({
      read() {
        this.push(Buffer.from('half'));
        this.destroy(new Error('aborted'));
      },
    });
    await assert.rejects(uploads.put('cut', cut), { code: 'BODY_TRUNCATED' });
    assert.deepEqual(await readdir(directory), []);
  }));

test('the oldest upload makes room for a new one', () =>
  inDirectory(async (directory) => {
    const clock = new ManualClock(1_800_000_000_000);
    const uploads = new UploadStore(directory, clock);
    for (let index = 0; index <= UPLOADS_MAX; index += 1) {
      await uploads.put(`object-${index}`, Buffer.from('x'));
      clock.advance(1000);
    }
    assert.equal((await readdir(directory)).length, UPLOADS_MAX);
    await assert.rejects(uploads.read('object-0'), { code: 'INVALID_ARGUMENT' });
    assert.equal(await text(await uploads.read('object-1')), 'x');
  }));
