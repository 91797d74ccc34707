import { Readable } from 'node:stream';
import type { TaskStatus } from '@thaw/protocol/fc/async-task.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { assertNever } from '../../base/assert-never.ts';
import type { Clock } from '../../base/clock.ts';
import { functionArn, type AccountPlace } from '../../catalog/arn.ts';
import type { AsyncDestinations } from '../../catalog/async-policies.ts';
import type { AsyncSubmitter } from '../../invocation/async/async-request.ts';
import type { OutcomeHandler } from '../../invocation/async/task-outcome.ts';
import type { AsyncTask, DueTask } from '../../model/async-task.ts';
import { parseDestination, type Destination } from '../../model/destination.ts';
import { taskHash } from '../../model/task-hash.ts';
import type { MessageQueues } from '../../store/message-queues.ts';
import type { Objects } from '../../store/objects.ts';
import { DELIVERY_MS_MAX, DELIVERY_TRIES_MAX, DeliveryBackoff } from './delivery-backoff.ts';
import { destinationEvent, EVENT_PART_BYTES_MAX } from './destination-event.ts';
import { postEvent, type Delivery } from './post-event.ts';

/** Functions whose outcomes go to functions: a circle ends after so many. */
export const HOPS_MAX = 16;
const POST_MS_MAX = 10_000;
const REASON_CHARACTERS_MAX = 512;
const HOP_TASK_ID = /^destination-(\d{1,3})-[0-9a-f]{64}$/;
const DELIVERED: Delivery = { kind: 'delivered' };

export interface DestinationsDeps {
  readonly clock: Clock;
  readonly place: AccountPlace;
  readonly destinationsOf: (functionName: string, qualifier: string) => AsyncDestinations;
  readonly submitter: AsyncSubmitter;
  readonly readBytes: (
    task: AsyncTask,
    which: 'payload' | 'result',
    bytesMax: number,
  ) => Promise<Buffer | undefined>;
  readonly queues: MessageQueues;
  readonly objects: Objects;
  /** `host` or `host:port` of addresses of this machine and its network that URLs may name. */
  readonly allowedHosts: readonly string[];
}

/**
 * Hands outcomes on to where the settings of their function say. What cannot be delivered now is offered again, each
 * outcome and each destination that does not answer with a backoff of its own, so that one dead receiver holds up
 * nobody else; after its bounds the task says why it was given up.
 */
export class Destinations implements OutcomeHandler {
  readonly #deps: DestinationsDeps;
  readonly #allowedHosts: ReadonlySet<string>;
  readonly #tasks = new DeliveryBackoff<number>();
  readonly #silent = new DeliveryBackoff<string>();
  readonly #closing = new AbortController();

  constructor(deps: DestinationsDeps) {
    this.#deps = deps;
    this.#allowedHosts = new Set(deps.allowedHosts);
  }

  isAwaited(task: DueTask, status: TaskStatus): boolean {
    return this.#destinationOf(task, status) !== '';
  }

  async onSettled(task: AsyncTask): Promise<string | undefined> {
    const text = this.#destinationOf(task, task.status);
    // The setting was taken away meanwhile.
    if (text === '') return '';
    const nowMs = this.#deps.clock.monotonicMs();
    if (this.#tasks.isHeld(task.seq, nowMs) || this.#silent.isHeld(text, nowMs)) {
      return this.#isTooOld(task) ? this.#giveUp(task, 'it did not answer') : undefined;
    }
    this.#silent.hold(text, nowMs, POST_MS_MAX);
    const delivery = await this.#deliver(task, text);
    // Nothing can be known of an attempt that the end of the platform cut off.
    if (this.#closing.signal.aborted && delivery.kind !== 'delivered') return undefined;
    if (delivery.kind !== 'later' || !delivery.isSilent) this.#silent.forget(text);
    if (delivery.kind === 'delivered') {
      this.#tasks.forget(task.seq);
      return 'Succeeded';
    }
    if (delivery.kind === 'refused') return this.#giveUp(task, delivery.reason);
    const failedMs = this.#deps.clock.monotonicMs();
    if (delivery.isSilent) this.#silent.failed(text, failedMs);
    const tries = this.#tasks.failed(task.seq, failedMs);
    const isOver = tries >= DELIVERY_TRIES_MAX || this.#isTooOld(task);
    return isOver ? this.#giveUp(task, delivery.reason) : undefined;
  }

  /** Ends what is under way; after the next start it is offered again. */
  close(): void {
    this.#closing.abort();
  }

  #destinationOf({ functionName, qualifier }: DueTask, status: TaskStatus): string {
    const { onSuccess, onFailure } = this.#deps.destinationsOf(functionName, qualifier);
    if (status === 'Succeeded') return onSuccess;
    return status === 'Stopped' ? '' : onFailure;
  }

  #isTooOld({ endedAt = 0 }: AsyncTask): boolean {
    return this.#deps.clock.now() - endedAt > DELIVERY_MS_MAX;
  }

  #giveUp({ seq }: AsyncTask, reason: string): string {
    this.#tasks.forget(seq);
    return `Failed: ${reason.slice(0, REASON_CHARACTERS_MAX)}`;
  }

  async #deliver(task: AsyncTask, text: string): Promise<Delivery> {
    try {
      const destination = parseDestination(text);
      return await this.#send(task, destination, await this.#eventOf(task));
    } catch (thrown) {
      const error = ThawError.from(thrown, `handing on the outcome of task '${task.taskId}'`);
      const reason = `${error.code}: ${error.message}`;
      if (error.fault === 'caller' && !error.isRetryable) return { kind: 'refused', reason };
      return { kind: 'later', reason, isSilent: false };
    }
  }

  async #eventOf(task: AsyncTask): Promise<Buffer> {
    const { place, readBytes } = this.#deps;
    return destinationEvent({
      task,
      functionArn: functionArn(place, task.functionName, task.qualifier),
      timestamp: task.endedAt ?? task.enqueuedAt,
      payload: await readBytes(task, 'payload', EVENT_PART_BYTES_MAX),
      result: await readBytes(task, 'result', EVENT_PART_BYTES_MAX),
    });
  }

  async #send(task: AsyncTask, destination: Destination, event: Buffer): Promise<Delivery> {
    switch (destination.kind) {
      case 'function':
        return this.#submit(task, destination, event);
      case 'queue':
        await this.#deps.queues.send(destination.queueName, [
          { body: event.toString(), attributes: { taskId: task.taskId, status: task.status } },
        ]);
        return DELIVERED;
      case 'url':
        return postEvent(new URL(destination.url), event, {
          allowedHosts: this.#allowedHosts,
          timeoutMs: POST_MS_MAX,
          signal: this.#closing.signal,
          idempotencyKey: taskHash(task),
        });
      case 'object':
        await this.#put(task, destination, event);
        return DELIVERED;
      default:
        return assertNever(destination, 'destination');
    }
  }

  async #submit(
    task: AsyncTask,
    { functionName, qualifier }: Extract<Destination, { kind: 'function' }>,
    event: Buffer,
  ): Promise<Delivery> {
    const hops = hopsOf(task) + 1;
    if (hops > HOPS_MAX) {
      return {
        kind: 'refused',
        reason: `more than ${HOPS_MAX} functions have passed it on: is it a circle?`,
      };
    }
    const taskId = `destination-${hops}-${taskHash(task)}`;
    const request = { functionName, qualifier, payload: event, taskId, trigger: 'destination' } as const;
    await this.#deps.submitter.submit(request);
    return DELIVERED;
  }

  async #put(
    task: AsyncTask,
    { bucket, prefix }: Extract<Destination, { kind: 'object' }>,
    event: Buffer,
  ): Promise<void> {
    const { objects, place } = this.#deps;
    const staged = await objects.stage(Readable.from([event]), event.length);
    const cause = {
      operation: 'PutObject',
      requestId: task.requestId,
      sourceIp: '127.0.0.1',
      principalId: place.accountId,
    } as const;
    const headers = { 'content-type': 'application/json' };
    try {
      await objects.put({ bucket, key: `${prefix}${task.taskId}.json`, cause }, staged, {
        headers,
        userMetadata: {},
      });
    } catch (error) {
      await objects.discard(staged).catch(() => undefined);
      throw error;
    }
  }
}

/** Only the platform gives this trigger kind, so nobody else's ids count. */
function hopsOf({ trigger, taskId }: AsyncTask): number {
  return trigger === 'destination' ? Number(HOP_TASK_ID.exec(taskId)?.[1] ?? 0) : 0;
}
