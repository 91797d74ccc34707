'use strict';
/** The codec against the vectors that every codec of the link shares. */
const assert = require('node:assert/strict');
const { describe, it } = require('node:test');
const vectors = require('../conformance/frames.json');
const frame = require('./frame.cjs');

const { TYPE, FrameReader, ProtocolError } = frame;
const TYPE_NAMES = new Map(Object.entries(TYPE).map(([name, type]) => [type, name]));
const SOURCES = ['', 'stdout', 'stderr'];

function decode(type, payload) {
  switch (type) {
    case 'REQUEST':
    case 'RESPONSE': {
      const { head, isEnd, body } = frame.decodeHeadAndBody(payload);
      return { head, end: isEnd, bodyHex: body.toString('hex') };
    }
    case 'DATA': {
      const { isEnd, body } = frame.decodeData(payload);
      return { end: isEnd, bodyHex: body.toString('hex') };
    }
    case 'CREDIT':
      return { credit: frame.decodeCredit(payload) };
    case 'LOG':
      return { source: SOURCES[payload[0]], text: payload.subarray(1).toString() };
    case 'INITIALIZING':
    case 'LOADED':
    case 'PROCEED':
    case 'CANCEL':
      return {};
    default:
      return { json: frame.decodeJson(payload) };
  }
}

function encode({ type, stream, json, head, end, bodyHex, credit, source, text }) {
  const body = Buffer.from(bodyHex ?? '', 'hex');
  switch (type) {
    case 'REQUEST':
    case 'RESPONSE':
      return frame.encodeHeadAndBody(TYPE[type], stream, JSON.stringify(head), end, body);
    case 'DATA':
      return frame.encodeData(stream, end, body);
    case 'CREDIT':
      return [frame.encodeCredit(stream, credit)];
    case 'LOG':
      return [frame.encodeLog(stream, SOURCES.indexOf(source), Buffer.from(text))];
    case 'INITIALIZING':
    case 'LOADED':
    case 'PROCEED':
    case 'CANCEL':
      return [frame.encodeEmpty(TYPE[type], stream)];
    default:
      return [frame.encodeJson(TYPE[type], stream, json)];
  }
}

function readAll(chunks) {
  const frames = [];
  const reader = new FrameReader((type, stream, payload) => frames.push({ type, stream, payload }));
  for (const chunk of chunks) reader.push(Buffer.from(chunk, 'hex'));
  return frames;
}

describe('frames', () => {
  for (const { name, hex, ...meaning } of vectors.frames) {
    it(`reads ${name}`, () => {
      const [{ type, stream, payload }, ...more] = readAll([hex]);
      assert.deepEqual(more, []);
      const typeName = TYPE_NAMES.get(type);
      assert.deepEqual({ type: typeName, stream, ...decode(typeName, payload) }, meaning);
    });
    it(`writes ${name}`, () => {
      assert.equal(Buffer.concat(encode(meaning)).toString('hex'), hex);
    });
  }

  for (const { name, chunks, frames } of vectors.streams) {
    it(`reads frames delivered ${name}`, () => {
      const read = readAll(chunks).map(({ type, stream, payload }) => [
        type,
        stream,
        payload.toString('hex'),
      ]);
      const wanted = frames.map((index) => {
        const [{ type, stream, payload }] = readAll([vectors.frames[index].hex]);
        return [type, stream, payload.toString('hex')];
      });
      assert.deepEqual(read, wanted);
    });
  }

  for (const { name, layer, hex } of vectors.invalid) {
    it(`refuses ${name}`, () => {
      if (layer === 'frame') {
        assert.throws(() => readAll([hex]), ProtocolError);
        assert.throws(() => readAll(hex.match(/../g)), ProtocolError);
        return;
      }
      const [{ type, payload }] = readAll([hex]);
      assert.throws(() => decode(TYPE_NAMES.get(type), payload), ProtocolError);
    });
  }

  it('hands on bodies in the pieces in which they come', () => {
    const bodies = [Buffer.alloc(65_536, 1), Buffer.alloc(9, 2), Buffer.alloc(40_000, 3)];
    const bytes = Buffer.concat(bodies.flatMap((body, at) => frame.encodeData(3, at === 2, body)));
    for (const size of [1, 5000, 8192, 65_536, bytes.length]) {
      const pieces = [];
      const ends = [];
      const take = (stream, body, isEnd) => {
        pieces.push(body);
        ends.push(stream === 3 && isEnd);
      };
      const reader = new FrameReader((type, stream, payload) => {
        const { body, isEnd } = frame.decodeData(payload);
        take(stream, body, isEnd);
      }, take);
      for (let at = 0; at < bytes.length; at += size) reader.push(bytes.subarray(at, at + size));
      assert.deepEqual(Buffer.concat(pieces), Buffer.concat(bodies));
      assert.equal(ends.indexOf(true), ends.length - 1);
    }
  });

  it('hands on the body of a REQUEST as it comes', () => {
    const body = Buffer.alloc(65_536, 7);
    const bytes = Buffer.concat(frame.encodeHeadAndBody(TYPE.REQUEST, 5, '{"a":1}', true, body));
    for (const size of [1, 5000, 65_536, bytes.length]) {
      const heads = [];
      const pieces = [];
      const ends = [];
      const reader = new FrameReader(
        (type, stream, payload) => {
          const { head, isEnd, body: first } = frame.decodeHeadAndBody(payload);
          heads.push([type, stream, head]);
          pieces.push(first);
          ends.push(isEnd);
        },
        (stream, piece, isEnd) => {
          pieces.push(piece);
          ends.push(stream === 5 && isEnd);
        },
      );
      for (let at = 0; at < bytes.length; at += size) reader.push(Buffer.from(bytes.subarray(at, at + size)));
      assert.deepEqual(heads, [[TYPE.REQUEST, 5, { a: 1 }]]);
      assert.deepEqual(Buffer.concat(pieces), body);
      assert.equal(ends.indexOf(true), ends.length - 1);
    }
  });

  it('puts a large body behind its head without copying it', () => {
    const body = Buffer.alloc(65_536, 7);
    const parts = frame.encodeData(3, true, body);
    assert.equal(parts[1], body);
    const [{ payload }] = readAll([Buffer.concat(parts).toString('hex')]);
    assert.deepEqual(frame.decodeData(payload), { isEnd: true, body });
  });
});
