'use strict';
/**
 * The frames of the link (docs/RUNTIMES.md, section 2): how each is written, and a reader that turns whatever chunks
 * the socket delivers into whole frames. Payloads are slices of the chunk that they came in, not copies.
 */

const TYPE = Object.freeze({
  HELLO: 0x01,
  SPECIALIZE: 0x02,
  INITIALIZING: 0x03,
  READY: 0x04,
  START_FAILED: 0x05,
  HOOK: 0x06,
  HOOK_END: 0x07,
  LOADED: 0x09,
  PROCEED: 0x0a,
  REQUEST: 0x10,
  DATA: 0x11,
  CREDIT: 0x12,
  CANCEL: 0x13,
  RESPONSE: 0x14,
  ERROR: 0x15,
  LOG: 0x16,
});

const HEADER_BYTES = 9;
/** What `length` counts besides the payload: type and stream. */
const LENGTH_BYTES_MIN = 5;
const PAYLOAD_BYTES_MAX = 1024 * 1024;
const DATA_BYTES_MAX = 64 * 1024;
const WINDOW_BYTES = 256 * 1024;
const FLAG_END = 1;
/** Up to this size copying a body behind its head costs less than a second buffer in the write. */
const COPY_BYTES_MAX = 16 * 1024;

class ProtocolError extends Error {
  get name() {
    return 'ProtocolError';
  }
}

/** An uninitialised buffer for the whole frame, with the header filled in. */
function allocFrame(type, stream, payloadBytes, allocatedBytes) {
  const frame = Buffer.allocUnsafe(HEADER_BYTES + allocatedBytes);
  frame.writeUInt32BE(LENGTH_BYTES_MIN + payloadBytes, 0);
  frame[4] = type;
  frame.writeUInt32BE(stream, 5);
  return frame;
}

function encodeEmpty(type, stream) {
  return allocFrame(type, stream, 0, 0);
}

function encodeJson(type, stream, value) {
  const text = JSON.stringify(value);
  const bytes = Buffer.byteLength(text);
  const frame = allocFrame(type, stream, bytes, bytes);
  frame.write(text, HEADER_BYTES);
  return frame;
}

function encodeCredit(stream, bytes) {
  const frame = allocFrame(TYPE.CREDIT, stream, 4, 4);
  frame.writeUInt32BE(bytes, HEADER_BYTES);
  return frame;
}

function encodeLog(stream, source, bytes) {
  const frame = allocFrame(TYPE.LOG, stream, 1 + bytes.length, 1 + bytes.length);
  frame[HEADER_BYTES] = source;
  bytes.copy(frame, HEADER_BYTES + 1);
  return frame;
}

/** REQUEST or RESPONSE as a list of buffers: a large body is a buffer of its own and is not copied. */
function encodeHeadAndBody(type, stream, headJson, isEnd, body) {
  const headBytes = Buffer.byteLength(headJson);
  const inline = body.length <= COPY_BYTES_MAX;
  const frame = allocFrame(
    type,
    stream,
    5 + headBytes + body.length,
    5 + headBytes + (inline ? body.length : 0),
  );
  frame[HEADER_BYTES] = isEnd ? FLAG_END : 0;
  frame.writeUInt32BE(headBytes, HEADER_BYTES + 1);
  frame.write(headJson, HEADER_BYTES + 5);
  if (!inline) return [frame, body];
  body.copy(frame, HEADER_BYTES + 5 + headBytes);
  return [frame];
}

function encodeData(stream, isEnd, body) {
  const inline = body.length <= COPY_BYTES_MAX;
  const frame = allocFrame(TYPE.DATA, stream, 1 + body.length, 1 + (inline ? body.length : 0));
  frame[HEADER_BYTES] = isEnd ? FLAG_END : 0;
  if (!inline) return [frame, body];
  body.copy(frame, HEADER_BYTES + 1);
  return [frame];
}

function decodeJson(payload) {
  try {
    return JSON.parse(payload.toString('utf8'));
  } catch (error) {
    throw new ProtocolError(`JSON was expected: ${error.message}`);
  }
}

function decodeFlags(flags) {
  if (flags > FLAG_END) throw new ProtocolError(`flags ${flags} are not known`);
  return flags === FLAG_END;
}

function decodeHeadAndBody(payload) {
  if (payload.length < 5) throw new ProtocolError('a head and body need at least 5 bytes');
  const isEnd = decodeFlags(payload[0]);
  const bodyStart = 5 + payload.readUInt32BE(1);
  if (bodyStart > payload.length) throw new ProtocolError('a head is longer than its frame');
  return { isEnd, head: decodeJson(payload.subarray(5, bodyStart)), body: payload.subarray(bodyStart) };
}

function decodeData(payload) {
  if (payload.length === 0) throw new ProtocolError('DATA needs flags');
  return { isEnd: decodeFlags(payload[0]), body: payload.subarray(1) };
}

function decodeCredit(payload) {
  if (payload.length !== 4) throw new ProtocolError(`a credit has 4 bytes, not ${payload.length}`);
  return payload.readUInt32BE(0);
}

const EMPTY = Buffer.alloc(0);
const KNOWN_TYPES = new Set(Object.values(TYPE));

/** Of a body whose frame is not whole, pieces from this size on are not worth waiting with. */
const PIECE_BYTES_MIN = 4 * 1024;

/**
 * Collects chunks until a frame is whole; a frame that spans chunks is joined once. Bodies are handed on in the pieces
 * in which they come: nearly every large frame spans chunks, and joining them would copy every body. A REQUEST is handed
 * on like one whose body is in DATA frames, of which the first comes with it.
 */
class FrameReader {
  /**
   * @param onFrame called with type, stream and payload, in order
   * @param onData called with stream, bytes and whether they are the last of the body, for a part of a frame
   */
  constructor(onFrame, onData) {
    this.onFrame = onFrame;
    this.onData = onData;
    /** The frame of which a part has been handed on. */
    this.dataStream = 0;
    this.dataIsEnd = false;
    this.dataBytesLeft = 0;
    this.chunks = [];
    this.bytes = 0;
    this.bytesNeeded = HEADER_BYTES;
  }

  /** @throws {ProtocolError} the connection is of no more use then */
  push(chunk) {
    if (this.dataBytesLeft > 0) chunk = this.continueData(chunk);
    if (this.bytes > 0) {
      this.chunks.push(chunk);
      this.bytes += chunk.length;
      // Even a header that is not whole may show a length that is wrong, so short collections are looked at too.
      if (this.bytes < this.bytesNeeded && this.bytesNeeded > HEADER_BYTES) return;
      chunk = Buffer.concat(this.chunks, this.bytes);
      this.chunks = [];
      this.bytes = 0;
    }
    this.keep(this.readFrames(chunk));
  }

  readFrames(chunk) {
    let offset = 0;
    for (;;) {
      const rest = chunk.length - offset;
      this.bytesNeeded = HEADER_BYTES;
      if (rest < 4) break;
      const length = chunk.readUInt32BE(offset);
      if (length < LENGTH_BYTES_MIN || length > LENGTH_BYTES_MIN + PAYLOAD_BYTES_MAX) {
        throw new ProtocolError(`a frame of length ${length} is not allowed`);
      }
      if (rest < HEADER_BYTES) break;
      const type = chunk[offset + 4];
      if (!KNOWN_TYPES.has(type)) throw new ProtocolError(`frame type ${type} is not known`);
      const frameBytes = 4 + length;
      if (rest < frameBytes) {
        if (this.beginBody(chunk, offset, frameBytes)) return EMPTY;
        this.bytesNeeded = frameBytes;
        break;
      }
      const payload = chunk.subarray(offset + HEADER_BYTES, offset + frameBytes);
      this.onFrame(type, chunk.readUInt32BE(offset + 5), payload);
      offset += frameBytes;
    }
    return offset === 0 ? chunk : chunk.subarray(offset);
  }

  /** Hands on what has come of the frame at `offset`, if that has a body of which enough has come. */
  beginBody(chunk, offset, frameBytes) {
    const flagsAt = offset + HEADER_BYTES;
    if (this.onData === undefined || chunk.length - flagsAt < PIECE_BYTES_MIN) return false;
    const type = chunk[offset + 4];
    if (type === TYPE.REQUEST) {
      // What has come is to be longer than the head, and the head not longer than the frame.
      if (chunk.readUInt32BE(flagsAt + 1) > chunk.length - flagsAt - PIECE_BYTES_MIN) return false;
    } else if (type !== TYPE.DATA) {
      return false;
    }
    this.bytesNeeded = HEADER_BYTES;
    this.dataStream = chunk.readUInt32BE(offset + 5);
    this.dataIsEnd = decodeFlags(chunk[flagsAt]);
    this.dataBytesLeft = offset + frameBytes - chunk.length;
    if (type === TYPE.DATA) {
      this.onData(this.dataStream, chunk.subarray(flagsAt + 1), false);
    } else {
      // What is handed on now is not the end.
      chunk[flagsAt] = 0;
      this.onFrame(type, this.dataStream, chunk.subarray(flagsAt));
    }
    return true;
  }

  /** @returns what is left of the chunk behind the frame */
  continueData(chunk) {
    const piece = chunk.subarray(0, this.dataBytesLeft);
    this.dataBytesLeft -= piece.length;
    this.onData(this.dataStream, piece, this.dataIsEnd && this.dataBytesLeft === 0);
    return chunk.subarray(piece.length);
  }

  keep(rest) {
    if (rest.length === 0) return;
    this.chunks.push(rest);
    this.bytes = rest.length;
  }
}

module.exports = {
  TYPE,
  DATA_BYTES_MAX,
  WINDOW_BYTES,
  ProtocolError,
  FrameReader,
  encodeEmpty,
  encodeJson,
  encodeCredit,
  encodeLog,
  encodeHeadAndBody,
  encodeData,
  decodeJson,
  decodeHeadAndBody,
  decodeData,
  decodeCredit,
};
