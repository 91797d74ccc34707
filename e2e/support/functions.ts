import assert from 'node:assert/strict';
import type { Platform } from '@thaw/testkit/platform.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { zip } from '@thaw/testkit/zip.ts';
import { jsonOf, type Answer } from './http-call.ts';
import { signedCall } from './signed-call.ts';

export const API = '/2023-03-30';

/** Sources by language, so that a scenario can be told once and run in both. */
export const LANGUAGES = {
  nodejs: { runtime: 'nodejs26', file: 'index.js' },
  python: { runtime: 'python3', file: 'index.py' },
} as const;

export type Language = keyof typeof LANGUAGES;

export interface FunctionSpec {
  /** Further fields of CreateFunction. */
  readonly fields?: Readonly<Record<string, unknown>>;
  /** The source of the one file, or every file by path. */
  readonly code: string | Readonly<Record<string, string | Buffer>>;
  readonly language?: Language;
}

/** Creates a function over the API and gives its name back. */
export async function createFunction(
  platform: Platform,
  functionName: string,
  spec: FunctionSpec,
): Promise<string> {
  const { runtime, file } = LANGUAGES[spec.language ?? 'nodejs'];
  const files = typeof spec.code === 'string' ? { [file]: spec.code } : spec.code;
  const answer = await signedCall(platform, {
    method: 'POST',
    path: `${API}/functions`,
    body: JSON.stringify({
      functionName,
      runtime,
      handler: 'index.handler',
      timeout: 20,
      memorySize: 128,
      code: { zipFile: (await zip(files)).toString('base64') },
      ...spec.fields,
    }),
  });
  assert.equal(answer.status, 200, answer.body.toString());
  if (process.env['THAW_TEST_STEMS'] === 'wait') await waitForStems(platform);
  return functionName;
}

/** Changes a function, `worker`, or what belongs to it, as `worker/concurrency`. */
export async function putSetting(platform: Platform, path: string, settings: object): Promise<void> {
  const body = JSON.stringify(settings);
  const answer = await signedCall(platform, { method: 'PUT', path: `${API}/functions/${path}`, body });
  assert.equal(answer.status, 200, answer.body.toString());
}

/** Until every kind of function that is deployed has a stem: what is called next then starts from one. */
export async function waitForStems(platform: Platform): Promise<void> {
  await waitFor('a stem of every kind', async () => {
    const { stems } = jsonOf<{ stems: { perKind: number; kinds: number; waiting: number } }>(
      await signedCall(platform, { method: 'GET', path: '/thaw/v1/info' }),
    );
    return stems.waiting >= Math.min(stems.perKind, 1) * stems.kinds ? true : undefined;
  });
}

/** Gives a function an HTTP trigger and returns the address that the API tells. */
export async function createHttpTrigger(
  platform: Platform,
  functionName: string,
  config: Readonly<Record<string, unknown>> = {},
): Promise<string> {
  const answer = await signedCall(platform, {
    method: 'POST',
    path: `${API}/functions/${functionName}/triggers`,
    body: JSON.stringify({
      triggerName: 'web',
      triggerType: 'http',
      triggerConfig: JSON.stringify({
        authType: 'anonymous',
        methods: ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'],
        ...config,
      }),
    }),
  });
  assert.equal(answer.status, 200, answer.body.toString());
  return jsonOf<{ httpTrigger: { urlInternet: string } }>(answer).httpTrigger.urlInternet;
}

export interface InvokeOptions {
  readonly qualifier?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** InvokeFunction. */
export function invoke(
  platform: Platform,
  functionName: string,
  body: Buffer | string = '',
  { qualifier, headers = {} }: InvokeOptions = {},
): Promise<Answer> {
  return signedCall(platform, {
    method: 'POST',
    path: `${API}/functions/${functionName}/invocations`,
    body,
    headers: { 'content-type': 'application/octet-stream', ...headers },
    ...(qualifier === undefined ? {} : { query: `qualifier=${qualifier}` }),
  });
}

export interface FunctionError {
  readonly errorType: string;
  readonly errorMessage: string;
  readonly stackTrace: readonly unknown[];
}

export function functionErrorOf(answer: Answer): FunctionError {
  return jsonOf(answer);
}

/** The log of the invocation, as `x-fc-log-type: Tail` brings it. */
export function logTailOf(answer: Answer): string {
  return Buffer.from(String(answer.headers['x-fc-log-result'] ?? ''), 'base64').toString('utf8');
}
