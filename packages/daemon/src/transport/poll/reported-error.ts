import type { IncomingHttpHeaders } from 'node:http';
import { z } from 'zod';
import type { ReportedError } from '../transport.ts';

const bodySchema = z.object({
  errorType: z.string().optional().catch(undefined),
  errorMessage: z.string().optional().catch(undefined),
  stackTrace: z.array(z.unknown()).optional().catch(undefined),
  /** The custom runtimes of AWS's own examples say it so. */
  trace: z.array(z.unknown()).optional().catch(undefined),
});

/** What a runtime posted to an error path. It need not be JSON: a shell's bootstrap sends what it has. */
export function reportedError(headers: IncomingHttpHeaders, body: Buffer): ReportedError {
  const text = body.toString('utf8');
  const given = headers['lambda-runtime-function-error-type'];
  const fallback = typeof given === 'string' && given !== '' ? given : 'Error';
  const parsed = bodySchema.safeParse(jsonOf(text));
  if (!parsed.success) {
    return { errorType: fallback, errorMessage: text, stackTrace: [], handled: true, fatal: false };
  }
  const { errorType = fallback, errorMessage = '', stackTrace, trace } = parsed.data;
  return {
    errorType,
    errorMessage,
    stackTrace: (stackTrace ?? trace ?? []).map(frameOf),
    handled: true,
    fatal: false,
  };
}

/** A frame is a text, or in Go an object with the file, the line and the function. */
function frameOf(frame: unknown): string {
  if (typeof frame === 'string') return frame;
  const { path, line, label } = frameSchema.parse(frame);
  return label === undefined ? JSON.stringify(frame) : `${label} (${path ?? ''}:${line ?? ''})`;
}

const frameSchema = z
  .object({
    path: z.string().optional().catch(undefined),
    line: z.number().optional().catch(undefined),
    label: z.string().optional().catch(undefined),
  })
  .catch({});

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
