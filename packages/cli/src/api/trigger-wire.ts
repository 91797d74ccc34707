import type { TriggerAnswer } from './wire.ts';

/** What Thaw's own API says of triggers, beside FC's. */

export interface DeliveryAnswer {
  readonly time: string;
  readonly outcome: 'accepted' | 'succeeded' | 'failed';
  readonly eventBytes: number;
  readonly ms: number;
  readonly taskId?: string;
  readonly requestId?: string;
  readonly errorCode?: string;
  readonly errorMessage?: string;
}

export interface TriggerSummaryAnswer {
  readonly functionName: string;
  readonly triggerName: string;
  readonly triggerType: string;
  readonly qualifier: string;
  readonly status: 'active' | 'paused' | 'waiting' | 'failing';
  readonly problem?: { readonly code: string; readonly message: string; readonly since: string };
  readonly delivered: number;
  readonly failed: number;
  readonly lastDelivery?: DeliveryAnswer;
  readonly lastFailure?: DeliveryAnswer;
}

export interface TriggerStatusAnswer extends Omit<TriggerSummaryAnswer, 'lastDelivery' | 'lastFailure'> {
  readonly deliveries: readonly DeliveryAnswer[];
  readonly failures: readonly DeliveryAnswer[];
}

export interface TriggerTestAnswer {
  readonly event?: string;
  readonly eventBase64?: string;
  readonly requestId: string;
  readonly answer?: string;
  readonly answerBase64?: string;
  readonly errorCode?: string;
  readonly errorMessage?: string;
  readonly functionError?: unknown;
}

/** FC's answer with the fields that event triggers have. */
export interface EventTriggerAnswer extends TriggerAnswer {
  readonly sourceArn?: string;
  readonly invocationRole?: string;
}
