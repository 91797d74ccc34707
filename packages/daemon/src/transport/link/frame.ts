/**
 * The frames of the link (docs/RUNTIMES.md, section 2): length, type, stream, payload. Reading copies nothing as long
 * as frames arrive whole.
 */

export const FRAME = {
  hello: 0x01,
  specialize: 0x02,
  initializing: 0x03,
  ready: 0x04,
  startFailed: 0x05,
  hook: 0x06,
  hookEnd: 0x07,
  loaded: 0x09,
  proceed: 0x0a,
  request: 0x10,
  data: 0x11,
  credit: 0x12,
  cancel: 0x13,
  response: 0x14,
  error: 0x15,
  log: 0x16,
} as const;

const KNOWN_TYPES: ReadonlySet<number> = new Set(Object.values(FRAME));

/** Of `length`: what it counts besides the payload. */
const TYPE_AND_STREAM_BYTES = 5;
const LENGTH_BYTES = 4;
export const FRAME_PREFIX_BYTES = LENGTH_BYTES + TYPE_AND_STREAM_BYTES;
export const PAYLOAD_BYTES_MAX = 1_048_576;
/** Body bytes that a sender may have under way on one stream. */
export const STREAM_WINDOW_BYTES = 262_144;
export const DATA_BYTES_MAX = 65_536;
/** Bit of the flags byte: no further body follows. */
export const FLAG_END = 1;
/** Flags and head length, before the head of a REQUEST or RESPONSE. */
export const HEAD_PREFIX_BYTES = 5;

/** The other side does not keep to the protocol; the connection cannot be trusted any further. */
export class LinkProtocolError extends Error {
  override readonly name = 'LinkProtocolError';
}

export function encodeFrame(type: number, stream: number, payload: Buffer): Buffer {
  const frame = Buffer.allocUnsafe(FRAME_PREFIX_BYTES + payload.length);
  writePrefix(frame, type, stream, payload.length);
  payload.copy(frame, FRAME_PREFIX_BYTES);
  return frame;
}

export function encodeJsonFrame(type: number, stream: number, value: unknown): Buffer {
  return encodeFrame(type, stream, Buffer.from(JSON.stringify(value)));
}

/** Up to this size copying bytes behind others costs less than a buffer of their own in the write. */
export const COPY_BYTES_MAX = 16 * 1024;

/**
 * A REQUEST: everything up to and including `body`, in one buffer so that it leaves in one write. A body of more than
 * `COPY_BYTES_MAX` is written right behind it, uncopied.
 */
export function encodeRequest(stream: number, head: string, body: Buffer, isEnd: boolean): Buffer {
  const headBytes = Buffer.byteLength(head);
  const payloadBytes = HEAD_PREFIX_BYTES + headBytes + body.length;
  const isCopied = body.length <= COPY_BYTES_MAX;
  const frame = Buffer.allocUnsafe(FRAME_PREFIX_BYTES + payloadBytes - (isCopied ? 0 : body.length));
  writePrefix(frame, FRAME.request, stream, payloadBytes);
  frame[FRAME_PREFIX_BYTES] = isEnd ? FLAG_END : 0;
  frame.writeUInt32BE(headBytes, FRAME_PREFIX_BYTES + 1);
  frame.write(head, FRAME_PREFIX_BYTES + HEAD_PREFIX_BYTES, 'utf8');
  if (isCopied) body.copy(frame, FRAME_PREFIX_BYTES + HEAD_PREFIX_BYTES + headBytes);
  return frame;
}

/** Prefix and flags of a DATA frame; the body is written right behind it, uncopied. */
export function encodeDataPrefix(stream: number, bodyBytes: number, isEnd: boolean): Buffer {
  const prefix = Buffer.allocUnsafe(FRAME_PREFIX_BYTES + 1);
  writePrefix(prefix, FRAME.data, stream, 1 + bodyBytes);
  prefix[FRAME_PREFIX_BYTES] = isEnd ? FLAG_END : 0;
  return prefix;
}

export function encodeCredit(stream: number, bytes: number): Buffer {
  const frame = Buffer.allocUnsafe(FRAME_PREFIX_BYTES + 4);
  writePrefix(frame, FRAME.credit, stream, 4);
  frame.writeUInt32BE(bytes, FRAME_PREFIX_BYTES);
  return frame;
}

/** Head (JSON text), body and END flag of a RESPONSE payload. */
export function decodeHeadAndBody(payload: Buffer): { head: string; body: Buffer; isEnd: boolean } {
  if (payload.length < HEAD_PREFIX_BYTES) throw new LinkProtocolError('a head and body frame is too short');
  const headEnd = HEAD_PREFIX_BYTES + payload.readUInt32BE(1);
  if (headEnd > payload.length) throw new LinkProtocolError('a head is longer than its frame');
  return {
    head: payload.toString('utf8', HEAD_PREFIX_BYTES, headEnd),
    body: payload.subarray(headEnd),
    isEnd: (readByte(payload, 0) & FLAG_END) !== 0,
  };
}

export function decodeData(payload: Buffer): { body: Buffer; isEnd: boolean } {
  return { body: payload.subarray(1), isEnd: (readByte(payload, 0) & FLAG_END) !== 0 };
}

export function readByte(payload: Buffer, at: number): number {
  const byte = payload[at];
  if (byte === undefined) throw new LinkProtocolError('a frame ends before its first fields do');
  return byte;
}

function writePrefix(frame: Buffer, type: number, stream: number, payloadBytes: number): void {
  frame.writeUInt32BE(TYPE_AND_STREAM_BYTES + payloadBytes, 0);
  frame[LENGTH_BYTES] = type;
  frame.writeUInt32BE(stream, LENGTH_BYTES + 1);
}

export type FrameHandler = (type: number, stream: number, payload: Buffer) => void;

/** A piece of a body as it came, flags read; `isEnd` with the last of the whole body. */
export type DataHandler = (stream: number, body: Buffer, isEnd: boolean) => void;

/** Of a body whose frame has not come whole, pieces from this size on are not worth waiting with. */
const PIECE_BYTES_MIN = 4 * 1024;

/**
 * Cuts a byte stream into frames. Holds at most one incomplete frame, so at most 1 MiB. Where bodies have a handler of
 * their own they are handed on as they come: putting large frames together again would copy every body once. A RESPONSE
 * is handed on like one whose body is in DATA frames, of which the first comes with it.
 */
export class FrameReader {
  readonly #onFrame: FrameHandler;
  readonly #onData: DataHandler | undefined;
  /** The frame of which a part has been handed on, and how much of it is still to come. */
  #dataStream = 0;
  #dataIsLast = false;
  #dataLeft = 0;
  #pieces: Buffer[] = [];
  #have = 0;
  /** Bytes until the incomplete frame is whole; its prefix counts as long as the length is not known. */
  #need = LENGTH_BYTES;

  constructor(onFrame: FrameHandler, onData?: DataHandler) {
    this.#onFrame = onFrame;
    this.#onData = onData;
  }

  push(chunk: Buffer): void {
    let rest = this.#dataLeft > 0 ? this.#continueData(chunk) : chunk;
    if (this.#have > 0) {
      this.#pieces.push(chunk);
      this.#have += chunk.length;
      if (this.#have < this.#need) return;
      rest = Buffer.concat(this.#pieces, this.#have);
      this.#pieces = [];
      this.#have = 0;
    }
    let at = 0;
    while (rest.length - at >= LENGTH_BYTES) {
      const length = rest.readUInt32BE(at);
      if (length < TYPE_AND_STREAM_BYTES || length > TYPE_AND_STREAM_BYTES + PAYLOAD_BYTES_MAX) {
        throw new LinkProtocolError(`a frame has the length ${length}`);
      }
      const end = at + LENGTH_BYTES + length;
      if (end > rest.length) {
        if (this.#beginBody(rest, at, end)) return;
        this.#keep(rest.subarray(at), LENGTH_BYTES + length);
        return;
      }
      const type = readByte(rest, at + LENGTH_BYTES);
      if (!KNOWN_TYPES.has(type)) throw new LinkProtocolError(`a frame has the unknown type ${type}`);
      this.#onFrame(
        type,
        rest.readUInt32BE(at + LENGTH_BYTES + 1),
        rest.subarray(at + FRAME_PREFIX_BYTES, end),
      );
      at = end;
    }
    if (at < rest.length) this.#keep(rest.subarray(at), LENGTH_BYTES);
  }

  /** Gives what is left of `chunk` behind the frame that was begun. */
  #continueData(chunk: Buffer): Buffer {
    const piece = chunk.subarray(0, this.#dataLeft);
    this.#dataLeft -= piece.length;
    this.#onData?.(this.#dataStream, piece, this.#dataIsLast && this.#dataLeft === 0);
    return chunk.subarray(piece.length);
  }

  /** Hands on what has come of the frame at `at`, if that has a body of which enough has come. */
  #beginBody(bytes: Buffer, at: number, end: number): boolean {
    const flagsAt = at + FRAME_PREFIX_BYTES;
    if (this.#onData === undefined || bytes.length - flagsAt < PIECE_BYTES_MIN) return false;
    const type = readByte(bytes, at + LENGTH_BYTES);
    if (type === FRAME.response) {
      // What has come is to be longer than the head, and the head not longer than the frame.
      if (bytes.readUInt32BE(flagsAt + 1) > bytes.length - flagsAt - PIECE_BYTES_MIN) return false;
    } else if (type !== FRAME.data) {
      return false;
    }
    this.#dataStream = bytes.readUInt32BE(at + LENGTH_BYTES + 1);
    this.#dataIsLast = (readByte(bytes, flagsAt) & FLAG_END) !== 0;
    this.#dataLeft = end - bytes.length;
    if (type === FRAME.data) {
      this.#onData(this.#dataStream, bytes.subarray(flagsAt + 1), false);
    } else {
      // What is handed on now is not the end.
      bytes[flagsAt] = 0;
      this.#onFrame(type, this.#dataStream, bytes.subarray(flagsAt));
    }
    return true;
  }

  #keep(piece: Buffer, need: number): void {
    this.#pieces = [piece];
    this.#have = piece.length;
    this.#need = need;
  }
}
