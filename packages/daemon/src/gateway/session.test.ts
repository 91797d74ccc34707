import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SessionAffinity } from '../model/session-affinity.ts';
import { sessionOf, withSession } from './session.ts';

const rules = { sessionsPerInstance: 20, ttlMs: 3_600_000, idleMs: 60_000 };
const byHeader: SessionAffinity = { kind: 'header', name: 'my-session', ...rules };
const byCookie: SessionAffinity = { kind: 'cookie', name: 'x-fc-session-id', ...rules };

test('a header names the session, and the answer repeats it', () => {
  assert.deepEqual(sessionOf(byHeader, { 'my-session': 'a_1-b' }), {
    id: 'a_1-b',
    requestHeader: undefined,
    answerHeaders: ['my-session', 'a_1-b'],
  });
});

test('without the header a new session is named to both sides', () => {
  const session = sessionOf(byHeader, {});
  assert.match(session.id, /^[0-9a-f]{32}$/);
  assert.deepEqual(session.requestHeader, ['my-session', session.id]);
  assert.deepEqual(session.answerHeaders, ['my-session', session.id]);
  assert.notEqual(sessionOf(byHeader, {}).id, session.id);
});

test('a header that cannot be a name is refused', () => {
  for (const value of ['-a', 'a b', 'a,b', 'ä', 'a'.repeat(65)]) {
    assert.throws(() => sessionOf(byHeader, { 'my-session': value }), { code: 'INVALID_ARGUMENT' });
  }
});

test('a cookie is found among others; a missing or impossible one is made', () => {
  const cookie = 'a=1; x-fc-session-id=s1 ; b=x-fc-session-id=s2';
  assert.deepEqual(sessionOf(byCookie, { cookie }), {
    id: 's1',
    requestHeader: undefined,
    answerHeaders: [],
  });
  for (const headers of [
    {},
    { cookie: '' },
    { cookie: 'x-fc-session-id=; a' },
    { cookie: 'x-fc-session-id=a b' },
  ]) {
    const { id, requestHeader, answerHeaders } = sessionOf(byCookie, headers);
    assert.deepEqual(requestHeader, ['Cookie', `x-fc-session-id=${id}`]);
    assert.deepEqual(answerHeaders, [
      'Set-Cookie',
      `x-fc-session-id=${id}; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax`,
    ]);
  }
});

test('the function sees the name of a new session, and its cookies as one header', () => {
  const fresh = sessionOf(byCookie, {});
  const cookie = `x-fc-session-id=${fresh.id}`;
  assert.deepEqual(withSession(['Host', 'a'], fresh), ['Host', 'a', 'Cookie', cookie]);
  assert.deepEqual(withSession(['cookie', 'b=1', 'Host', 'a'], fresh), [
    'cookie',
    `b=1; ${cookie}`,
    'Host',
    'a',
  ]);
  const named = sessionOf(byHeader, {});
  assert.deepEqual(withSession([], named), ['my-session', named.id]);
  assert.deepEqual(withSession(['My-Session', ''], named), ['My-Session', named.id]);
  const known = sessionOf(byHeader, { 'my-session': 'a' });
  assert.deepEqual(withSession(['My-Session', 'a'], known), ['My-Session', 'a']);
});
