import type { Timeline } from '@thaw/protocol/timeline.ts';

/** What the platform's API answers, as far as the command line reads it. Field names are the API's. */

export interface FunctionAnswer {
  readonly functionName: string;
  readonly functionId?: string;
  readonly functionArn?: string;
  readonly runtime?: string;
  readonly handler?: string;
  readonly memorySize?: number;
  readonly timeout?: number;
  readonly codeSize?: number;
  readonly codeChecksum?: string;
  readonly lastModifiedTime?: string;
  readonly state?: string;
  readonly layers?: readonly { readonly arn: string }[];
  readonly tags?: readonly TagAnswer[];
  readonly [field: string]: unknown;
}

export interface TagAnswer {
  readonly Key?: string;
  readonly Value?: string;
  readonly key?: string;
  readonly value?: string;
}

export interface VersionAnswer {
  readonly versionId: string;
  readonly description?: string;
  readonly createdTime?: string;
  readonly lastModifiedTime?: string;
}

export interface AliasAnswer {
  readonly aliasName: string;
  readonly versionId: string;
  readonly description?: string;
  readonly additionalVersionWeight?: Readonly<Record<string, number>>;
  readonly createdTime?: string;
  readonly lastModifiedTime?: string;
}

export interface TriggerAnswer {
  readonly triggerName: string;
  readonly triggerType: string;
  /** A JSON text. */
  readonly triggerConfig?: string;
  readonly qualifier?: string;
  readonly description?: string;
  readonly httpTrigger?: { readonly urlInternet?: string; readonly urlIntranet?: string };
  readonly createdTime?: string;
  readonly lastModifiedTime?: string;
}

export interface LayerAnswer {
  readonly layerName: string;
  readonly version: number;
  readonly layerVersionArn?: string;
  readonly description?: string;
  readonly compatibleRuntime?: readonly string[];
  readonly codeSize?: number;
  readonly codeChecksum?: string;
  readonly createTime?: string;
}

/** Thaw's own API. */
export interface InvocationAnswer {
  readonly requestId: string;
  readonly functionName: string;
  readonly versionId?: string;
  readonly qualifier?: string;
  readonly instanceId?: string;
  readonly kind?: string;
  readonly trigger?: string;
  /** ISO 8601 text, or milliseconds since 1970. */
  readonly startedAt?: string | number;
  readonly status?: string;
  readonly errorCode?: string;
  readonly errorType?: string;
  readonly coldStart?: boolean;
  readonly timeline?: Timeline;
  readonly billedMs?: number;
  readonly memoryMb?: number;
  readonly memoryPeakMb?: number;
  readonly statusCode?: number;
  readonly replayOf?: string;
}

export interface LogLine {
  /** ISO 8601 text, or milliseconds since 1970. */
  readonly time: string | number;
  readonly functionName: string;
  readonly versionId?: string;
  readonly requestId?: string;
  readonly instanceId?: string;
  readonly source?: string;
  readonly text: string;
}

export interface InfoAnswer {
  readonly version: string;
  readonly url?: string;
  readonly dataDir?: string;
  readonly accountId?: string;
  readonly isolation?: string;
  readonly stems?: {
    readonly perKind: number;
    readonly kinds: number;
    readonly waiting: number;
    readonly loaded?: number;
    readonly unavailable?: string;
  };
  readonly warnings?: readonly string[];
  readonly runtimes?: readonly { readonly name: string; readonly version?: string; readonly path?: string }[];
}
