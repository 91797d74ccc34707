/** The chunks that one run of a function read first, in that order, with the time of each. */
export interface Recording {
  /** When it was made, in milliseconds since 1970. */
  readonly atMs: number;
  readonly windowMs: number;
  readonly chunks: Uint32Array;
  /** Milliseconds from the mount, by position in `chunks`. */
  readonly ms: Uint32Array;
}

/**
 * As text for a record: base64 of pairs of varints, the difference to the chunk before (zigzag) and to its time. Readers
 * go through files from front to back, so that most differences are 1.
 */
export function encodeTouches(chunks: Uint32Array, ms: Uint32Array): string {
  const bytes: number[] = [];
  let lastChunk = 0;
  let lastMs = 0;
  for (const [index, chunk] of chunks.entries()) {
    const difference = chunk - lastChunk;
    putVarint(bytes, difference >= 0 ? difference * 2 : -difference * 2 - 1);
    lastChunk = chunk;
    // Threads note times independently of each other: one may be a little before the last.
    const at = Math.max(lastMs, ms[index] ?? 0);
    putVarint(bytes, at - lastMs);
    lastMs = at;
  }
  return Buffer.from(bytes).toString('base64');
}

/** What cannot be read ends the recording there: a trace is advice. */
export function decodeTouches(text: string): Pick<Recording, 'chunks' | 'ms'> {
  const bytes = Buffer.from(text, 'base64');
  const chunks: number[] = [];
  const ms: number[] = [];
  let chunk = 0;
  let time = 0;
  for (let at = 0; at < bytes.length;) {
    const first = getVarint(bytes, at);
    const second = first === undefined ? undefined : getVarint(bytes, first.next);
    if (first === undefined || second === undefined) break;
    chunk += first.value % 2 === 0 ? first.value / 2 : -(first.value + 1) / 2;
    time += second.value;
    if (chunk < 0 || chunk > 0xffffffff) break;
    chunks.push(chunk);
    ms.push(time);
    at = second.next;
  }
  return { chunks: Uint32Array.from(chunks), ms: Uint32Array.from(ms) };
}

function putVarint(bytes: number[], value: number): void {
  let left = value;
  for (; left >= 128; left = Math.floor(left / 128)) bytes.push((left % 128) + 128);
  bytes.push(left);
}

function getVarint(
  bytes: Buffer,
  from: number,
): { readonly value: number; readonly next: number } | undefined {
  let value = 0;
  let scale = 1;
  for (let at = from; at < bytes.length && at < from + 7; at += 1) {
    const byte = bytes[at] ?? 0;
    value += (byte % 128) * scale;
    scale *= 128;
    if (byte < 128) return { value, next: at + 1 };
  }
  return undefined;
}
