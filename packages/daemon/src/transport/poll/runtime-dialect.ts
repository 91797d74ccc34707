import type { RunnableVersion } from '../../model/runnable.ts';
import { platformHeaders, type ServedFunction } from '../http/platform-headers.ts';

/** What `x-fc-function-type` says of a piece of work (fc-runtime-go-sdk, fc/function.go). */
export const FUNCTION_TYPES = { invocation: 0, initializer: 1, preStop: 2, preFreeze: 3 } as const;
export type WorkKind = keyof typeof FUNCTION_TYPES;

/** What a runtime is told about a piece of work besides its payload. */
export interface WorkHead {
  readonly id: string;
  readonly kind: WorkKind;
  /** Milliseconds since 1970. */
  readonly deadlineMs: number;
  readonly timeoutMs: number;
  readonly qualifier: string;
  /** How often it has been tried before. */
  readonly retryCount: number;
}

/** What a runtime that polls is told of its function, and how many invocations it may have at once. */
export type PolledFunction = ServedFunction & Pick<RunnableVersion, 'instanceConcurrency'>;

/** The two long-poll APIs differ in their paths, their headers and how they say yes. */
export interface RuntimeDialect {
  readonly name: 'lambda' | 'fc';
  /** aws-lambda-go exits on any other status than 202, Alibaba's on any other than 200. */
  readonly acceptedStatus: 200 | 202;
  /** Whether the runtime knows other work than invocations. */
  readonly runsHooks: boolean;
  /** Whether a runtime that asks for more while it owes an answer has forgotten it. FC's asks again at once, always. */
  readonly asksWhenDone: boolean;
  headers(work: WorkHead, polled: PolledFunction): readonly string[];
}

/** AWS Lambda's runtime API 2018-06-01 (docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html). */
const lambda: RuntimeDialect = {
  name: 'lambda',
  acceptedStatus: 202,
  runsHooks: false,
  asksWhenDone: true,
  headers: ({ id, deadlineMs, qualifier }, { functionName, environment }) => {
    const { FC_REGION: region = '', FC_ACCOUNT_ID: account = '' } = environment;
    const suffix = qualifier === 'LATEST' ? '' : `:${qualifier}`;
    return [
      'Content-Type',
      'application/json',
      'Lambda-Runtime-Aws-Request-Id',
      id,
      'Lambda-Runtime-Deadline-Ms',
      String(Math.ceil(deadlineMs)),
      'Lambda-Runtime-Invoked-Function-Arn',
      `arn:aws:lambda:${region}:${account}:function:${functionName}${suffix}`,
      // A request's id has the form of a trace's: version, seconds, 24 digits.
      'Lambda-Runtime-Trace-Id',
      `Root=${id};Parent=${id.slice(-16)};Sampled=0`,
    ];
  },
};

/** Function Compute's API 2020-11-11, as its Go SDK speaks it (github.com/aliyun/fc-runtime-go-sdk). */
const fc: RuntimeDialect = {
  name: 'fc',
  acceptedStatus: 200,
  runsHooks: true,
  asksWhenDone: false,
  headers: ({ id, kind, deadlineMs, timeoutMs, qualifier, retryCount }, polled) => {
    const common = platformHeaders(polled);
    const at = common.indexOf('x-fc-function-timeout');
    return [
      'Content-Type',
      'application/octet-stream',
      'x-fc-request-id',
      id,
      'x-fc-function-type',
      String(FUNCTION_TYPES[kind]),
      'x-fc-function-deadline',
      String(Math.ceil(deadlineMs)),
      // The SDK takes whole seconds only.
      'x-fc-function-timeout',
      String(Math.ceil(timeoutMs / 1000)),
      'x-fc-qualifier',
      qualifier,
      'x-fc-retry-count',
      String(retryCount),
      ...common.slice(0, at),
      ...common.slice(at + 2),
    ];
  },
};

export const DIALECTS: ReadonlyMap<string, RuntimeDialect> = new Map([
  ['2018-06-01', lambda],
  ['2020-11-11', fc],
]);
