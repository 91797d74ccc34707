import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { CloudEvent, HTTP } from 'cloudevents';
import { replyEvents, replyHeadOf } from './reply-events.ts';

const EVENT = new CloudEvent({
  id: '1',
  source: '/f',
  type: 'answered',
  tenant: 'a',
  datacontenttype: 'application/json',
  data: { n: 1 },
});

/** What a task keeps of an answer with these headers. */
function headWith(headers: object, status = 200): string {
  const rawHeaders = Object.entries(headers).flatMap(([name, value]) => [name, String(value)]);
  return JSON.stringify({ status, rawHeaders });
}

async function ids(resultHead: string | undefined, body: unknown): Promise<string[]> {
  const bytes = Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
  return (await replyEvents(replyHeadOf(resultHead), bytes)).map(({ id }) => id);
}

test('an answer of a web server is an event in the binary, the structured and the batched mode', async () => {
  const binary = HTTP.binary(EVENT);
  const [event] = await replyEvents(replyHeadOf(headWith(binary.headers)), Buffer.from(String(binary.body)));
  // As JSON: attributes that are not set are not there.
  const sent: object = JSON.parse(JSON.stringify(EVENT));
  assert.deepEqual(event, { ...sent, datacontenttype: binary.headers['content-type'] });
  const structured = HTTP.structured(EVENT);
  assert.deepEqual(await ids(headWith(structured.headers), structured.body), ['1']);
  const batch = { 'Content-Type': 'application/cloudevents-batch+json' };
  assert.deepEqual(await ids(headWith(batch), [EVENT, EVENT]), ['1', '1']);
});

test('any other answer is none', async () => {
  assert.deepEqual(await ids(headWith({ 'content-type': 'application/json' }), EVENT), []);
  assert.deepEqual(await ids(headWith(HTTP.structured(EVENT).headers, 404), EVENT), [], 'it has failed');
  for (const body of ['', 'done', 'null', '{}', '[]', [EVENT, 7], { id: 'x' }]) {
    assert.deepEqual(await ids(undefined, body), [], JSON.stringify(body));
  }
});

test('an event handler answers with an event or a list of them', async () => {
  assert.deepEqual(await ids(undefined, EVENT), ['1']);
  assert.deepEqual(await ids(undefined, [EVENT, EVENT]), ['1', '1']);
});

test('what wants to be an event and is none is refused', async () => {
  const isInvalid = (error: unknown): boolean => error instanceof ThawError && error.fault === 'caller';
  await assert.rejects(ids(undefined, { specversion: '1.0', id: 'x' }), isInvalid);
  await assert.rejects(ids(headWith({ 'content-type': 'application/cloudevents+json' }), '{'), isInvalid);
});
