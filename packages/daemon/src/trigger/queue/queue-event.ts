import type { ReceivedMessage } from '../../store/message-queues.ts';

/**
 * The event of a batch: AWS Lambda's of an SQS queue ("Using Lambda with Amazon SQS"), so that functions written for
 * one read the other.
 */
export function queueEvent(arn: string, region: string, messages: readonly ReceivedMessage[]): Buffer {
  const records = messages.map((message) => ({
    messageId: message.messageId,
    receiptHandle: message.receipt,
    body: message.body,
    attributes: {
      ApproximateReceiveCount: String(message.receiveCount),
      SentTimestamp: String(message.sentAt),
      ApproximateFirstReceiveTimestamp: String(message.firstReceivedAt),
      ...(message.deadLetterSource === undefined ? {} : { DeadLetterQueueSource: message.deadLetterSource }),
    },
    messageAttributes: Object.fromEntries(
      Object.entries(message.attributes).map(([name, value]) => [
        name,
        { stringValue: value, dataType: 'String' },
      ]),
    ),
    eventSource: 'thaw:queue',
    eventSourceARN: arn,
    awsRegion: region,
  }));
  return Buffer.from(JSON.stringify({ Records: records }));
}

/**
 * Ids of the messages that the function says it could not deal with:
 * `{"batchItemFailures":[{"itemIdentifier":"…"}]}`. Any other answer means that all went well. As with Lambda, a list
 * that names something else than messages of the batch means that nothing is known to have gone well.
 */
export function failedMessages(answer: Buffer, messages: readonly ReceivedMessage[]): ReadonlySet<string> {
  const failures = batchItemFailures(answer);
  const all = new Set(messages.map((message) => message.messageId));
  const named = new Set<string>();
  for (const failure of failures) {
    const id: unknown =
      typeof failure === 'object' && failure !== null ? Reflect.get(failure, 'itemIdentifier') : undefined;
    if (typeof id !== 'string' || !all.has(id)) return all;
    named.add(id);
  }
  return named;
}

function batchItemFailures(answer: Buffer): readonly unknown[] {
  // Most answers are not JSON at all, and long ones are not worth reading for it.
  if (!answer.includes('batchItemFailures')) return [];
  try {
    const value: unknown = JSON.parse(answer.toString('utf8'));
    const failures: unknown =
      typeof value === 'object' && value !== null ? Reflect.get(value, 'batchItemFailures') : undefined;
    return Array.isArray(failures) ? failures : [];
  } catch {
    return [];
  }
}
