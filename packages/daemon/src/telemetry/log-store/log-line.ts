/** One line that a function, its runtime or the platform said. */
export interface LogLine {
  /** Wall time in milliseconds. */
  readonly time: number;
  readonly functionName: string;
  readonly versionId: string;
  /** Empty outside invocations. */
  readonly requestId: string;
  readonly instanceId: string;
  readonly source: 'stdout' | 'stderr' | 'platform';
  readonly text: string;
}

/** Longest text of one line on disk; a longer one is split. */
export const LOG_TEXT_BYTES_MAX = 64 * 1024;

/** Ends every part of a split line but the last. */
export const LOG_SPLIT_MARKER = ' …[line continues]';

/** No encoded line is longer: every byte of text may become six (`\u0000`), and names and ids are short. */
export const LOG_ENCODED_BYTES_MAX = 1024 * 1024;

/** The line as it is, or its parts when the text is too long; never cut within a character. */
export function splitLine(line: LogLine): readonly LogLine[] {
  // No text has more than three bytes for a code unit, so most lines are not measured at all.
  if (line.text.length * 3 <= LOG_TEXT_BYTES_MAX) return [line];
  const bytes = Buffer.from(line.text);
  if (bytes.length <= LOG_TEXT_BYTES_MAX) return [line];
  const parts: LogLine[] = [];
  let at = 0;
  while (bytes.length - at > LOG_TEXT_BYTES_MAX) {
    let end = at + LOG_TEXT_BYTES_MAX;
    while (((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1;
    parts.push({ ...line, text: bytes.toString('utf8', at, end) + LOG_SPLIT_MARKER });
    at = end;
  }
  parts.push({ ...line, text: bytes.toString('utf8', at) });
  return parts;
}

/** One line of NDJSON. The function's name is that of the directory. */
export function encodeLine(line: LogLine): string {
  const { time, requestId, source, text, versionId, instanceId } = line;
  return `${JSON.stringify({ time, requestId, source, text, versionId, instanceId })}\n`;
}

/** What every encoded line of a request contains. Quotes within a text are escaped, so no text can imitate it. */
export function requestNeedle(requestId: string): Buffer {
  return Buffer.from(`"requestId":${JSON.stringify(requestId)},`);
}

/** Undefined for what is no line of ours: a torn write, or a damaged disk. */
export function decodeLine(functionName: string, bytes: Buffer): LogLine | undefined {
  try {
    const { time, requestId, source, text, versionId, instanceId } = JSON.parse(bytes.toString('utf8'));
    if (typeof time !== 'number' || typeof text !== 'string') return undefined;
    return { time, functionName, versionId, requestId, instanceId, source, text };
  } catch {
    return undefined;
  }
}
