/** An asynchronous invocation as the API shows it. */
export interface TaskAnswer {
  readonly taskId: string;
  readonly requestId?: string;
  readonly qualifier?: string;
  readonly status: string;
  /** Milliseconds since 1970. */
  readonly startedTime?: number;
  readonly endTime?: number;
  readonly durationMs?: number;
  readonly alreadyRetriedTimes?: number;
  readonly instanceId?: string;
  readonly taskErrorMessage?: string;
  readonly destinationStatus?: string;
  readonly taskPayloadSize?: number;
  readonly returnPayloadSize?: number;
  readonly taskPayload?: string;
  readonly taskPayloadEncoding?: string;
  readonly returnPayload?: string;
  readonly returnPayloadEncoding?: string;
  readonly events?: readonly TaskEventAnswer[];
}

export interface TaskEventAnswer {
  readonly status?: string;
  readonly timestamp?: number;
  readonly eventDetail?: string;
}
