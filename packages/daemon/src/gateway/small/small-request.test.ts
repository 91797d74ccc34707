import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LIMITS } from '@thaw/protocol/limits.ts';
import { smallHeadOf } from './small-request.ts';

describe('the head of a small request', () => {
  it('is read with its headers as they came and by lower-case name', () => {
    const text = 'POST /a/b?c=%20 HTTP/1.1\r\nHost: h\r\nX-One: \t a b\t \r\nContent-Length: 3\r\n\r\nabc';
    const head = smallHeadOf(Buffer.from(text));
    assert.deepEqual(head, {
      method: 'POST',
      url: '/a/b?c=%20',
      rawHeaders: ['Host', 'h', 'X-One', 'a b', 'Content-Length', '3'],
      headers: { host: 'h', 'x-one': 'a b', 'content-length': '3' },
      headBytes: text.length - 3,
      bodyBytes: 3,
    });
  });

  it('keeps bytes above ASCII as node:http gives them', () => {
    const head = smallHeadOf(Buffer.from('GET / HTTP/1.1\r\nHost: h\r\nX: \xa0\xe9\r\n\r\n', 'latin1'));
    assert.equal(head?.headers['x'], '\xa0\xe9');
  });

  const host = 'Host: h\r\n';
  const others: Readonly<Record<string, string>> = {
    'a head that is not whole': 'GET / HTTP/1.1\r\nHost: h\r\n',
    'an older version': `GET / HTTP/1.0\r\n${host}\r\n`,
    'another method': `LINK / HTTP/1.1\r\n${host}\r\n`,
    'a tunnel': `CONNECT h:1 HTTP/1.1\r\n${host}\r\n`,
    'an absolute target': `GET http://h/ HTTP/1.1\r\n${host}\r\n`,
    'a blank in the target': `GET /a b HTTP/1.1\r\n${host}\r\n`,
    'a target beyond ASCII': `GET /\xe9 HTTP/1.1\r\n${host}\r\n`,
    'two blanks': `GET  / HTTP/1.1\r\n${host}\r\n`,
    'no host': 'GET / HTTP/1.1\r\nX: y\r\n\r\n',
    'no headers': 'GET / HTTP/1.1\r\n\r\n',
    'two hosts': `GET / HTTP/1.1\r\n${host}${host}\r\n`,
    'a folded line': `GET / HTTP/1.1\r\n${host}X: a\r\n b\r\n\r\n`,
    'a blank before the colon': `GET / HTTP/1.1\r\n${host}X : a\r\n\r\n`,
    'a line without a colon': `GET / HTTP/1.1\r\n${host}X\r\n\r\n`,
    'a line without a name': `GET / HTTP/1.1\r\n${host}: a\r\n\r\n`,
    'a bare line feed in a value': `GET / HTTP/1.1\r\n${host}X: a\nY: b\r\n\r\n`,
    'a bare carriage return in a value': `GET / HTTP/1.1\r\n${host}X: a\rb\r\n\r\n`,
    'a zero byte in a value': `GET / HTTP/1.1\r\n${host}X: a\0b\r\n\r\n`,
    'bare line feeds as line ends': 'GET / HTTP/1.1\nHost: h\n\r\n\r\n',
    'two lengths': `POST / HTTP/1.1\r\n${host}Content-Length: 1\r\ncontent-length: 1\r\n\r\na`,
    'a length with a sign': `POST / HTTP/1.1\r\n${host}Content-Length: +1\r\n\r\na`,
    'a list of lengths': `POST / HTTP/1.1\r\n${host}Content-Length: 1, 1\r\n\r\na`,
    'an empty length': `POST / HTTP/1.1\r\n${host}Content-Length: \r\n\r\n`,
    'a length of more digits than any body has': `POST / HTTP/1.1\r\n${host}Content-Length: ${'9'.repeat(16)}\r\n\r\n`,
    'a chunked body': `POST / HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n`,
    'both forms of body': `POST / HTTP/1.1\r\n${host}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n`,
    'an expectation': `POST / HTTP/1.1\r\n${host}Expect: 100-continue\r\n\r\n`,
    'an upgrade': `GET / HTTP/1.1\r\n${host}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n`,
    'an end of the connection': `GET / HTTP/1.1\r\n${host}Connection: close\r\n\r\n`,
    'a name that objects have': `GET / HTTP/1.1\r\n${host}__proto__: a\r\n\r\n`,
    'a URL that is too long': `GET /${'a'.repeat(LIMITS.urlBytesMax)} HTTP/1.1\r\n${host}\r\n`,
    'a head that is too long': `GET / HTTP/1.1\r\n${host}X: ${'a'.repeat(LIMITS.requestHeaderBytesMax)}\r\n\r\n`,
  };
  for (const [what, text] of Object.entries(others)) {
    it(`is not ${what}`, () => {
      assert.equal(smallHeadOf(Buffer.from(text, 'latin1')), undefined);
    });
  }
});
