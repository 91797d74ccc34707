import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CloudEvent as Published, HTTP } from 'cloudevents';
import { binaryMessage, cloudEventOf } from '../../model/cloud-event.ts';
import { parseCloudEvents } from './parse-cloud-events.ts';

const ATTRIBUTES = { id: '1', source: '/shop', type: 'com.example.sold', specversion: '1.0' };
const BINARY = { 'ce-id': '1', 'ce-source': '/shop', 'ce-type': 'com.example.sold', 'ce-specversion': '1.0' };
const JSON_EVENT = { 'content-type': 'application/cloudevents+json' };

const parse = async (headers: Record<string, string>, body: string | Buffer = ''): Promise<unknown> => {
  const events = await parseCloudEvents(headers, Buffer.from(body));
  return events.length === 1 ? events[0] : events;
};

test('the three modes give the same event', async () => {
  const expected = { ...ATTRIBUTES, datacontenttype: 'application/json', data: { total: 42 } };
  const binary = { ...BINARY, 'content-type': 'application/json' };
  assert.deepEqual(await parse(binary, '{"total":42}'), expected);
  assert.deepEqual(await parse(JSON_EVENT, JSON.stringify(expected)), expected);
  const batch = { 'content-type': 'application/cloudevents-batch+json; charset=utf-8' };
  assert.deepEqual(await parse(batch, JSON.stringify([expected, expected])), [expected, expected]);
  assert.deepEqual(await parse(batch, '[]'), []);
});

test('what the official library writes is read', async () => {
  const event = new Published({ ...ATTRIBUTES, subject: 'Grüße 100 %', tenant: 'a', data: { total: 42 } });
  for (const message of [HTTP.binary(event), HTTP.structured(event)]) {
    const headers = Object.fromEntries(
      Object.entries(message.headers).map(([name, value]) => [name.toLowerCase(), String(value)]),
    );
    const [first] = await parseCloudEvents(headers, Buffer.from(String(message.body)));
    assert(first !== undefined);
    const { time, datacontenttype: _type, ...read }: Record<string, unknown> = first;
    assert.equal(time, event.time);
    assert.deepEqual(read, { ...ATTRIBUTES, subject: 'Grüße 100 %', tenant: 'a', data: { total: 42 } });
  }
});

test('data keeps what it is: text, bytes, or nothing', async () => {
  const type = (contentType: string): Record<string, string> => ({ ...BINARY, 'content-type': contentType });
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, index) => index));
  const cases: readonly [Record<string, string>, Buffer][] = [
    [type('text/plain'), Buffer.from('grüße')],
    [type('application/octet-stream'), bytes],
    [type('application/xml'), Buffer.from('<a/>')],
    [type('image/png'), bytes],
    [type('application/json'), Buffer.from('"text"')],
    [type('application/json'), Buffer.from('null')],
    [BINARY, Buffer.alloc(0)],
  ];
  for (const [headers, body] of cases) {
    const [event] = await parseCloudEvents(headers, body);
    assert(event !== undefined);
    const stored = cloudEventOf(Buffer.from(JSON.stringify(event)));
    assert.deepEqual(stored, event);
    const message = binaryMessage(event);
    assert.deepEqual(message.body, body, JSON.stringify(headers));
    const names = Object.fromEntries(
      message.rawHeaders.flatMap((name, index) =>
        index % 2 === 0 ? [[name.toLowerCase(), message.rawHeaders[index + 1]]] : [],
      ),
    );
    assert.deepEqual(names, { ...headers, 'content-length': String(body.length) });
  }
});

test('attributes that a header cannot carry are encoded, both ways', async () => {
  const subject = 'grüße \n 100% 🐝';
  const { rawHeaders } = binaryMessage({ ...ATTRIBUTES, subject });
  const header = rawHeaders[rawHeaders.indexOf('ce-subject') + 1] ?? '';
  assert.match(header, /^[\u0020-\u007e]+$/);
  const read = await parse({ ...BINARY, 'ce-subject': header });
  assert.deepEqual(read, { ...ATTRIBUTES, subject });
});

test('what is no CloudEvent is refused with its reason', async () => {
  const json = (event: unknown): [Record<string, string>, string] => [JSON_EVENT, JSON.stringify(event)];
  const cases: readonly [readonly [Record<string, string>, string], RegExp][] = [
    [[{}, 'x'], /no CloudEvent/],
    [[{ 'content-type': 'application/json' }, '{}'], /no CloudEvent/],
    [[{ 'ce-id': '1' }, ''], /lacks specversion, source, type/],
    [[{ ...BINARY, 'ce-id': '' }, ''], /lacks id/],
    [[{ ...BINARY, 'ce-specversion': '0.3' }, ''], /0\.3/],
    [[{ ...BINARY, 'content-type': 'application/json' }, '{'], /JSON/],
    [[{ ...BINARY, 'ce-data': 'x' }, ''], /ce-data/],
    [[JSON_EVENT, '{'], /JSON/],
    [[{ 'content-type': 'application/cloudevents+xml' }, '<a/>'], /xml/],
    [[{ 'content-type': 'application/cloudevents-batch+json' }, '{}'], /list/],
    [json([]), /object/],
    [json({ ...ATTRIBUTES, id: 7 }), /lacks id/],
    [json({ ...ATTRIBUTES, source: 'not a uri' }), /source/],
    [json({ ...ATTRIBUTES, time: 'yesterday' }), /time/],
    [json({ ...ATTRIBUTES, Upper: 'x' }), /Upper/],
    [json({ ...ATTRIBUTES, nested: {} }), /nested/],
    [json({ ...ATTRIBUTES, data_base64: '*' }), /base64/],
    [json({ ...ATTRIBUTES, data: 1, data_base64: '' }), /both/],
  ];
  for (const [[headers, body], message] of cases) {
    await assert.rejects(parse(headers, body), { name: 'ThawError', message }, String(message));
  }
});
