import type { Output } from './output.ts';

/** Frames of a stack trace that are shown; the rest is counted. */
const FRAMES_MAX = 20;

/** A failed invocation in readable form: kind, type, message and stack as the user's code reported them. */
export function describeFunctionError(output: Output, name: string, kind: string, body: Buffer): string[] {
  const headline = `${output.styleError(['red', 'bold'], 'function error:')} ${name} failed (${kind})`;
  const report = readReport(body);
  if (report === undefined) return body.length === 0 ? [headline] : [headline, body.toString()];
  const lines = [headline, `  ${output.styleError('bold', report.type)}: ${report.message}`];
  const frames = report.frames.slice(0, FRAMES_MAX);
  for (const frame of frames) lines.push(output.styleError('dim', `    ${frame}`));
  const hidden = report.frames.length - frames.length;
  if (hidden > 0) lines.push(output.styleError('dim', `    … ${hidden} more`));
  return lines;
}

interface Report {
  readonly type: string;
  readonly message: string;
  readonly frames: readonly string[];
}

function readReport(body: Buffer): Report | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(body.toString());
  } catch {
    return undefined;
  }
  if (typeof parsed !== 'object' || parsed === null) return undefined;
  const message: unknown = Reflect.get(parsed, 'errorMessage');
  const type: unknown = Reflect.get(parsed, 'errorType');
  const stack: unknown = Reflect.get(parsed, 'stackTrace');
  if (typeof message !== 'string') return undefined;
  const frames =
    typeof stack === 'string' ? stack.split('\n') : Array.isArray(stack) ? stack.map(describeFrame) : [];
  return {
    type: typeof type === 'string' ? type : 'Error',
    message,
    frames: withoutHeadline(frames, message),
  };
}

/** Node's frames are texts; Python's are lists of file, line, function and code. */
function describeFrame(frame: unknown): string {
  if (typeof frame === 'string') return frame.trim();
  return Array.isArray(frame) ? frame.map(String).join(', ') : JSON.stringify(frame);
}

/** Node's stacks begin with "Type: message", which is printed already. */
function withoutHeadline(frames: readonly string[], message: string): readonly string[] {
  const [first, ...rest] = frames;
  return first !== undefined && !first.startsWith('at ') && first.endsWith(message.split('\n')[0] ?? '')
    ? rest
    : frames;
}
