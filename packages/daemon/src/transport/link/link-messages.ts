import { z } from 'zod';
import type { StartFailure } from '../runtime-connection.ts';
import type { HandlerKind, ReportedError, ResponseHead } from '../transport.ts';
import { LinkProtocolError } from './frame.ts';

/** The JSON messages of the link (docs/RUNTIMES.md, sections 2 to 4). A shim shares its process with user code, so nothing of it is trusted. */

export interface Specialization {
  readonly instanceId: string;
  readonly function: {
    readonly name: string;
    readonly handler: string;
    /** MB. */
    readonly memory: number;
    /** Seconds. */
    readonly timeout: number;
    readonly initializer: string | null;
    readonly initializationTimeout: number;
    readonly preFreeze: string | null;
    readonly preStop: string | null;
    readonly postThaw: string | null;
    readonly versionId: string;
    readonly qualifier: string;
  };
  readonly handlerType: 'auto' | 'event' | 'http';
  readonly codePath: string;
  readonly layerPath: string;
  /** Where V8's compile cache for the code is, if one was prepared. */
  readonly compileCachePath?: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly concurrency: number;
  readonly region: string;
  readonly accountId: string;
  readonly logProject: string;
  readonly logStore: string;
  /** The code is loaded ahead of its use: the runtime then waits to be told to go on. */
  readonly hold?: true;
}

const helloSchema = z.object({
  protocol: z.literal(1),
  runtime: z.string(),
  version: z.string(),
  pid: z.number(),
});
const readySchema = z.object({ handler: z.enum(['event', 'http']) });
const errorSchema = z.object({
  errorType: z.string(),
  errorMessage: z.string(),
  stackTrace: z.array(z.unknown()).default([]),
  handled: z.boolean().default(false),
  fatal: z.boolean().default(false),
});
const startFailedSchema = z.object({ phase: z.enum(['load', 'initializer']), error: errorSchema });
const hookEndSchema = z.object({ error: errorSchema.optional() });

export type Hello = z.infer<typeof helloSchema>;

export const parseHello = (payload: Buffer): Hello => parse(payload, helloSchema, 'HELLO');
export const parseReady = (payload: Buffer): HandlerKind => parse(payload, readySchema, 'READY').handler;
export const parseError = (payload: Buffer): ReportedError => parse(payload, errorSchema, 'ERROR');
export const parseHookEnd = (payload: Buffer): { error?: ReportedError | undefined } =>
  parse(payload, hookEndSchema, 'HOOK_END');

export function parseStartFailed(payload: Buffer): StartFailure {
  const { phase, error } = parse(payload, startFailedSchema, 'START_FAILED');
  return {
    phase,
    error: { errorType: error.errorType, errorMessage: error.errorMessage, stackTrace: error.stackTrace },
  };
}

const EVENT_HEAD: ResponseHead = { status: 200, rawHeaders: [] };

/** Runs for every answer, so it checks by hand what a schema would check too. */
export function parseResponseHead(text: string): ResponseHead {
  if (text === '{}') return EVENT_HEAD;
  const head = parseJson(text, 'RESPONSE');
  if (typeof head !== 'object' || head === null) throw new LinkProtocolError('a RESPONSE head is no object');
  const status: unknown = 'status' in head ? head.status : undefined;
  const headers: unknown = 'headers' in head ? head.headers : undefined;
  if (typeof status !== 'number' || !Number.isInteger(status) || status < 200 || status > 999) {
    throw new LinkProtocolError('a RESPONSE head has no valid status');
  }
  if (!isTextList(headers) || headers.length % 2 !== 0) {
    throw new LinkProtocolError('a RESPONSE head has no valid headers');
  }
  return { status, rawHeaders: headers };
}

function isTextList(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}

function parse<T>(payload: Buffer, schema: z.ZodType<T>, frame: string): T {
  const result = schema.safeParse(parseJson(payload.toString('utf8'), frame));
  if (!result.success) throw new LinkProtocolError(`a ${frame} frame is malformed`, { cause: result.error });
  return result.data;
}

function parseJson(text: string, frame: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new LinkProtocolError(`a ${frame} frame holds no JSON`, { cause: error });
  }
}
