import { formatBytes, formatTime } from '../../output/format.ts';
import { formatPairs, type Output } from '../../output/output.ts';
import type { QueueAnswer } from './queue-wire.ts';

export function describeQueue(output: Output, queue: QueueAnswer): string[] {
  return formatPairs(output, [
    ['queue', queue.queueName],
    ['messages', String(queue.messages)],
    ['visible', String(queue.visible)],
    ['in flight', String(queue.inFlight)],
    ['delayed', String(queue.delayed)],
    ['bytes', formatBytes(queue.bytes)],
    ['oldest', formatTime(queue.oldestTime)],
    ['visibility', `${queue.visibilityTimeoutSeconds} s`],
    ['delay', `${queue.delaySeconds} s`],
    ['retention', `${queue.retentionSeconds} s`],
    ['largest', formatBytes(queue.messageBytesMax)],
    [
      'dead letters',
      queue.deadLetterQueue === '' ? '' : `${queue.deadLetterQueue} after ${queue.maxReceives} receives`,
    ],
    ['created', formatTime(queue.createdTime)],
  ]);
}
