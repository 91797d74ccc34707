import assert from 'node:assert/strict';
import { inflateSync } from 'node:zlib';

export interface Picture {
  readonly width: number;
  readonly height: number;
  /** Red, green and blue of a pixel. */
  at(x: number, y: number): readonly [number, number, number];
}

const SIGNATURE = '89504e470d0a1a0a';
/** Channels by colour type: grey, true colour, true colour with alpha. */
const CHANNELS: ReadonlyMap<number, number> = new Map([
  [0, 1],
  [2, 3],
  [6, 4],
]);

/** The pixels of a PNG (RFC 2083) of eight bits a channel, not interlaced and without a palette. */
export function decodePng(bytes: Buffer): Picture {
  assert.equal(bytes.subarray(0, 8).toString('hex'), SIGNATURE, 'no PNG');
  let header: Buffer | undefined;
  const data: Buffer[] = [];
  for (let at = 8; at < bytes.length;) {
    const length = bytes.readUInt32BE(at);
    const type = bytes.toString('latin1', at + 4, at + 8);
    const content = bytes.subarray(at + 8, at + 8 + length);
    if (type === 'IHDR') header = content;
    if (type === 'IDAT') data.push(content);
    at += 12 + length;
  }
  assert.ok(header, 'a PNG without a header');
  const [width, height] = [header.readUInt32BE(0), header.readUInt32BE(4)];
  const channels = CHANNELS.get(header.readUInt8(9));
  assert.ok(channels !== undefined && header.readUInt8(8) === 8 && header.readUInt8(12) === 0, 'another PNG');
  const rows = unfiltered(inflateSync(Buffer.concat(data)), height, width * channels, channels);
  return {
    width,
    height,
    at: (x, y) => {
      assert.ok(x < width && y < height, `no pixel at ${x}, ${y}`);
      const pixel = (y * width + x) * channels;
      const channel = (index: number): number => rows.readUInt8(pixel + (channels === 1 ? 0 : index));
      return [channel(0), channel(1), channel(2)];
    },
  };
}

/** Undoes the filters of the lines: each begins with a byte that names its own. */
function unfiltered(filtered: Buffer, height: number, stride: number, pixelBytes: number): Buffer {
  assert.equal(filtered.length, height * (stride + 1), 'a PNG of another size than it says');
  const rows = Buffer.alloc(height * stride);
  for (let y = 0; y < height; y += 1) {
    const filter = filtered.readUInt8(y * (stride + 1));
    for (let x = 0; x < stride; x += 1) {
      const to = y * stride + x;
      const left = x < pixelBytes ? 0 : rows.readUInt8(to - pixelBytes);
      const up = y === 0 ? 0 : rows.readUInt8(to - stride);
      const corner = x < pixelBytes || y === 0 ? 0 : rows.readUInt8(to - stride - pixelBytes);
      const guess = predicted(filter, left, up, corner);
      rows.writeUInt8((filtered.readUInt8(to + y + 1) + guess) & 0xff, to);
    }
  }
  return rows;
}

function predicted(filter: number, left: number, up: number, corner: number): number {
  switch (filter) {
    case 0:
      return 0;
    case 1:
      return left;
    case 2:
      return up;
    case 3:
      return (left + up) >> 1;
    case 4:
      return paeth(left, up, corner);
    default:
      throw new Error(`a PNG has no filter ${filter}`);
  }
}

/** Whichever of the neighbours is nearest to what their slope would give. */
function paeth(left: number, up: number, corner: number): number {
  const slope = left + up - corner;
  const [toLeft, toUp, toCorner] = [Math.abs(slope - left), Math.abs(slope - up), Math.abs(slope - corner)];
  if (toLeft <= toUp && toLeft <= toCorner) return left;
  return toUp <= toCorner ? up : corner;
}
