/** What the platform's API says of queues. */
export interface QueueAnswer {
  readonly queueName: string;
  readonly visibilityTimeoutSeconds: number;
  readonly delaySeconds: number;
  readonly retentionSeconds: number;
  readonly messageBytesMax: number;
  readonly maxReceives: number;
  readonly deadLetterQueue: string;
  readonly createdTime: string;
  readonly name: string;
  readonly messages: number;
  readonly visible: number;
  readonly inFlight: number;
  readonly delayed: number;
  readonly bytes: number;
  readonly oldestTime?: string;
}

export interface MessageAnswer {
  readonly messageId: string;
  readonly receiptHandle: string;
  readonly body: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly sentTime: string;
  readonly receiveCount: number;
  readonly deadLetterSource?: string;
}
