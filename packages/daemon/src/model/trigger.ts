/** What causes invocations of one function. The configuration's shape belongs to the trigger's type. */

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

interface TriggerBase {
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

export type Trigger = HttpTrigger;
