import { setTimeout as wait } from 'node:timers/promises';
import type { Clock } from '../../base/clock.ts';
import type { MessageQueues, ReceivedMessage, ReceiveRequest } from '../../store/message-queues.ts';

export interface ReceiveWithin extends ReceiveRequest {
  readonly queueName: string;
  readonly waitMs: number;
  readonly signal: AbortSignal;
}

/**
 * Receives messages as soon as there are any, and none when the wait is over or the signal aborts. Rejects as the
 * queues do, so a queue that is deleted meanwhile ends the wait.
 */
export async function receiveWithin(
  queues: MessageQueues,
  clock: Clock,
  { queueName, waitMs, signal, ...request }: ReceiveWithin,
): Promise<readonly ReceivedMessage[]> {
  const untilMs = clock.monotonicMs() + waitMs;
  for (;;) {
    // Watched before it is looked: what comes between the two ends the wait at once.
    const news = new AbortController();
    const unwatch = queues.watch(queueName, () => news.abort());
    try {
      const { messages, nextVisibleAt } = await queues.receive(queueName, request);
      const leftMs = untilMs - clock.monotonicMs();
      if (messages.length > 0 || leftMs <= 0 || signal.aborted) return messages;
      const nextMs = Math.max(1, (nextVisibleAt ?? Infinity) - clock.now());
      const woken = AbortSignal.any([news.signal, signal]);
      await wait(Math.min(leftMs, nextMs), undefined, { signal: woken }).catch(() => undefined);
      if (signal.aborted) return [];
    } finally {
      unwatch();
    }
  }
}
