import assert from 'node:assert/strict';
import { test } from 'node:test';
import { array, assert as assertAlways, integer, property } from 'fast-check';
import {
  decodeHeadAndBody,
  encodeCredit,
  encodeDataPrefix,
  encodeFrame,
  FRAME,
  FrameReader,
} from './frame.ts';

/** Bodies of these sizes on two streams in turn, with other frames between them, cut where `cuts` say. */
function readAll(
  sizes: readonly number[],
  cuts: readonly number[],
): { bodies: string[]; wanted: string[]; ends: number; others: number } {
  const frames: Buffer[] = [];
  const wanted = ['', ''];
  for (const [index, size] of sizes.entries()) {
    const body = Buffer.alloc(size, 97 + (index % 26));
    frames.push(encodeDataPrefix(index % 2, size, index >= sizes.length - 2), body, encodeCredit(7, size));
    wanted[index % 2] += body.toString();
  }
  const bytes = Buffer.concat(frames);
  const bodies = ['', ''];
  let ends = 0;
  let others = 0;
  const reader = new FrameReader(
    (type, stream, payload) => {
      if (type !== FRAME.data) others += 1;
      else onBody(stream, payload.subarray(1), payload[0] === 1);
    },
    (stream, body, isEnd) => onBody(stream, body, isEnd),
  );
  const onBody = (stream: number, body: Buffer, isEnd: boolean): void => {
    bodies[stream] += body.toString();
    if (isEnd) ends += 1;
  };
  let at = 0;
  for (const cut of [...cuts, bytes.length]) {
    reader.push(bytes.subarray(at, Math.min(bytes.length, at + cut)));
    at = Math.min(bytes.length, at + cut);
  }
  return { bodies, wanted, ends, others };
}

test('bodies come through in pieces as they were sent, and end once', () => {
  const sizes = array(integer({ min: 0, max: 30_000 }), { minLength: 2, maxLength: 6 });
  assertAlways(
    property(sizes, array(integer({ min: 1, max: 20_000 }), { maxLength: 20 }), (bodySizes, cuts) => {
      const { bodies, wanted, ends, others } = readAll(bodySizes, cuts);
      assert.deepEqual(bodies, wanted);
      assert.deepEqual([ends, others], [2, bodySizes.length]);
    }),
    { numRuns: 60 },
  );
});

test('an answer comes through as its head and the pieces of its body, and ends once', () => {
  const numbers = integer({ min: 0, max: 40_000 });
  assertAlways(
    property(
      numbers,
      numbers,
      array(integer({ min: 1, max: 20_000 }), { maxLength: 10 }),
      (head, body, cuts) => {
        const wanted = ['h'.repeat(head), 'b'.repeat(body)];
        const payload = Buffer.concat([Buffer.from([1, 0, 0, 0, 0]), Buffer.from(wanted.join(''))]);
        payload.writeUInt32BE(head, 1);
        const bytes = encodeFrame(FRAME.response, 3, payload);
        const heads: string[] = [];
        let got = '';
        const ends: boolean[] = [];
        const onBody = (piece: Buffer, isEnd: boolean): void => {
          got += piece.toString();
          ends.push(isEnd);
        };
        const reader = new FrameReader(
          (_type, _stream, part) => {
            const { head: text, body: first, isEnd } = decodeHeadAndBody(part);
            heads.push(text);
            onBody(first, isEnd);
          },
          (_stream, piece, isEnd) => onBody(piece, isEnd),
        );
        let at = 0;
        for (const cut of [...cuts, bytes.length]) {
          reader.push(bytes.subarray(at, Math.min(bytes.length, at + cut)));
          at = Math.min(bytes.length, at + cut);
        }
        assert.deepEqual([heads, got], [[wanted[0]], wanted[1]]);
        assert.equal(ends.indexOf(true), ends.length - 1);
      },
    ),
    { numRuns: 60 },
  );
});
