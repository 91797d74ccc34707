/** What causes invocations of one function. The configuration's shape belongs to the trigger's type. */

import type { DatabaseTriggerConfig } from '@thaw/protocol/fc/triggers/database.ts';
import type { EventBridgeTriggerConfig } from '@thaw/protocol/fc/triggers/eventbridge.ts';
import type { OssTriggerConfig } from '@thaw/protocol/fc/triggers/oss.ts';
import type { QueueTriggerConfig } from '@thaw/protocol/fc/triggers/queue.ts';
import type { TimerTriggerConfig } from '@thaw/protocol/fc/triggers/timer.ts';

export type HttpAuthType = 'anonymous' | 'function';

export interface CorsConfig {
  readonly allowOrigins: readonly string[];
  readonly allowMethods: readonly string[];
  readonly allowHeaders: readonly string[];
  readonly exposeHeaders: readonly string[];
  readonly allowCredentials: boolean;
  /** Seconds. */
  readonly maxAge: number;
}

export interface HttpTriggerConfig {
  readonly authType: HttpAuthType;
  /** Upper case. */
  readonly methods: readonly string[];
  readonly disableURLInternet: boolean;
  readonly corsConfig?: CorsConfig;
}

export interface TriggerBase {
  readonly triggerId: string;
  readonly functionName: string;
  readonly triggerName: string;
  /** Version or alias that it invokes. */
  readonly qualifier: string;
  readonly description: string;
  readonly sourceArn: string;
  readonly invocationRole: string;
  /** The configuration as the client wrote it: a JSON text, given back to the letter. */
  readonly triggerConfigText: string;
  readonly createdTime: string;
  readonly lastModifiedTime: string;
}

export interface HttpTrigger extends TriggerBase {
  readonly triggerType: 'http';
  readonly http: HttpTriggerConfig;
}

/** Something that happens becomes an event, and the event an invocation. `config` belongs to the type. */
export interface EventTriggerOf<T extends string, C> extends TriggerBase {
  readonly triggerType: T;
  readonly config: C;
  /** A paused trigger delivers nothing; what it does with what happens meanwhile is its type's to say. */
  readonly isPaused: boolean;
}

export type TimerTrigger = EventTriggerOf<'timer', TimerTriggerConfig>;
export type OssTrigger = EventTriggerOf<'oss', OssTriggerConfig>;
export type QueueTrigger = EventTriggerOf<'queue', QueueTriggerConfig>;
export type DatabaseTrigger = EventTriggerOf<'database', DatabaseTriggerConfig>;
export type EventBridgeTrigger = EventTriggerOf<'eventbridge', EventBridgeTriggerConfig>;

export type EventTrigger = TimerTrigger | OssTrigger | QueueTrigger | DatabaseTrigger | EventBridgeTrigger;

export type Trigger = HttpTrigger | EventTrigger;
