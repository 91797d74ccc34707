import { parseFc } from '@thaw/protocol/fc/parse.ts';
import {
  acknowledgeInput,
  changeVisibilityInput,
  createQueueInput,
  QUEUE_BATCH_MAX,
  QUEUE_MESSAGE_BYTES_MAX,
  receiveMessagesInput,
  redriveInput,
  sendMessageInput,
  sendMessagesInput,
  updateQueueInput,
  type CreateQueueInput,
  type UpdateQueueInput,
} from '@thaw/protocol/queue-api.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Clock } from '../../base/clock.ts';
import type { FunctionGrant } from '../../model/function-grant.ts';
import type {
  MessageQueues,
  NewMessage,
  QueueAttributes,
  QueueDescription,
  ReceivedMessage,
} from '../../store/message-queues.ts';
import { receiveWithin } from '../../trigger/queue/receive-within.ts';
import { jsonBody } from './json-body.ts';
import { noSuchMethod, type ThawAnswer, type ThawCall, type ThawResource } from './thaw-resource.ts';

const SECOND_MS = 1_000;
/** A whole batch of the largest messages is more than anybody should send at once. */
const BODY_BYTES_MAX = 2 * QUEUE_MESSAGE_BYTES_MAX;

/**
 * `/thaw/v1/queues`: queues and their messages. What is not JSON is sent as a message as it is, so that
 * `curl --data` suffices.
 */
export class QueuesResource implements ThawResource {
  readonly bodyBytesMax = BODY_BYTES_MAX;
  readonly takesBasic = true;
  readonly #queues: MessageQueues;
  readonly #clock: Clock;

  constructor(queues: MessageQueues, clock: Clock) {
    this.#queues = queues;
    this.#clock = clock;
  }

  owns([collection]: readonly string[]): boolean {
    return collection === 'queues';
  }

  /** Their messages, and how many there are; queues are their owner's to make and to empty. */
  allows({ queues }: FunctionGrant, { method, segments }: Pick<ThawCall, 'method' | 'segments'>): boolean {
    const [, name = '', action] = segments;
    return queues.has(name) && (action === undefined ? method === 'GET' : FUNCTION_ACTIONS.has(action));
  }

  handle(call: ThawCall): Promise<ThawAnswer> | ThawAnswer {
    const [, name, action, ...rest] = call.segments;
    if (rest.length > 0) throw new ThawError('PATH_NOT_SUPPORTED', `there is nothing at ${call.path}`);
    if (name === undefined || name === '') return this.#collection(call);
    if (action === undefined) return this.#queue(call, name);
    return this.#action(call, name, action);
  }

  async #collection(call: ThawCall): Promise<ThawAnswer> {
    if (call.method === 'GET') return { json: { queues: (await this.#queues.list()).map(queueBody) } };
    if (call.method !== 'POST') throw noSuchMethod(call);
    const input = parseFc(createQueueInput, jsonBody(call.body));
    await this.#queues.create(input.queueName, attributesOf(input));
    return { status: 201, json: await this.#described(input.queueName) };
  }

  async #queue(call: ThawCall, name: string): Promise<ThawAnswer> {
    switch (call.method) {
      case 'GET':
        return { json: await this.#described(name) };
      case 'PUT': {
        const input = parseFc(updateQueueInput, jsonBody(call.body));
        const before = inputOf(name, (await this.#require(name)).attributes);
        await this.#queues.update(name, attributesOf(changed(before, input)));
        return { json: await this.#described(name) };
      }
      case 'DELETE':
        await this.#queues.delete(name);
        return { status: 204 };
      default:
        throw noSuchMethod(call);
    }
  }

  async #action(call: ThawCall, name: string, action: string): Promise<ThawAnswer> {
    if (!ACTIONS.has(action)) throw new ThawError('PATH_NOT_SUPPORTED', `there is nothing at ${call.path}`);
    if (call.method !== 'POST') throw noSuchMethod(call);
    const input = (): unknown => (call.body.length === 0 ? {} : jsonBody(call.body));
    switch (action) {
      case 'messages':
        return await this.#send(call, name);
      case 'receive':
        return { json: { messages: await this.#receive(call, name, input()) } };
      case 'acknowledge': {
        const { receiptHandles } = parseFc(acknowledgeInput, input());
        const isDone = await this.#queues.acknowledge(name, receiptHandles);
        return { json: { failed: receiptHandles.filter((_, index) => isDone[index] !== true) } };
      }
      case 'visibility': {
        const { entries } = parseFc(changeVisibilityInput, input());
        const changes = entries.map(({ receiptHandle, visibilityTimeoutSeconds }) => ({
          receipt: receiptHandle,
          visibilityTimeoutMs: visibilityTimeoutSeconds * SECOND_MS,
        }));
        const isDone = await this.#queues.changeVisibility(name, changes);
        const failed = entries.filter((_, index) => isDone[index] !== true);
        return { json: { failed: failed.map(({ receiptHandle }) => receiptHandle) } };
      }
      case 'purge':
        return { json: { removed: await this.#queues.purge(name) } };
      default:
        return {
          json: { moved: await this.#queues.redrive(name, parseFc(redriveInput, input()).maxMessages) },
        };
    }
  }

  async #send({ body, headers, parameters }: ThawCall, name: string): Promise<ThawAnswer> {
    const isJson = /^application\/([\w.-]+\+)?json\b/i.test(headers['content-type'] ?? '');
    if (!isJson) {
      const delay = parameters.get('delaySeconds');
      const given = { body: textOf(body), ...(delay === null ? {} : { delaySeconds: Number(delay) }) };
      const [messageId] = await this.#queues.send(name, [newMessage(parseFc(sendMessageInput, given))]);
      return { status: 201, json: { messageId } };
    }
    const value = jsonBody(body);
    if (typeof value === 'object' && value !== null && 'messages' in value) {
      const { messages } = parseFc(sendMessagesInput, value);
      const ids = await this.#queues.send(name, messages.map(newMessage));
      return { status: 201, json: { messages: ids.map((messageId) => ({ messageId })) } };
    }
    const [messageId] = await this.#queues.send(name, [newMessage(parseFc(sendMessageInput, value))]);
    return { status: 201, json: { messageId } };
  }

  async #receive({ signal }: ThawCall, name: string, given: unknown): Promise<readonly object[]> {
    const { maxMessages, waitSeconds, visibilityTimeoutSeconds } = parseFc(receiveMessagesInput, given);
    const messages = await receiveWithin(this.#queues, this.#clock, {
      queueName: name,
      limit: Math.min(maxMessages, QUEUE_BATCH_MAX),
      waitMs: waitSeconds * SECOND_MS,
      signal,
      ...(visibilityTimeoutSeconds === undefined
        ? {}
        : { visibilityTimeoutMs: visibilityTimeoutSeconds * SECOND_MS }),
    });
    if (signal.aborted && messages.length > 0) {
      // Nobody is there any more to get them.
      const changes = messages.map(({ receipt }) => ({ receipt, visibilityTimeoutMs: 0, isUncounted: true }));
      await this.#queues.changeVisibility(name, changes);
      return [];
    }
    return messages.map(messageBody);
  }

  async #described(name: string): Promise<object> {
    return queueBody(await this.#require(name));
  }

  async #require(name: string): Promise<QueueDescription> {
    const queue = await this.#queues.get(name);
    if (queue !== undefined) return queue;
    throw new ThawError('QUEUE_NOT_FOUND', `queue '${name}' does not exist`, { details: { queue: name } });
  }
}

const FUNCTION_ACTIONS = new Set(['messages', 'receive', 'acknowledge', 'visibility']);
const ACTIONS = new Set(['messages', 'receive', 'acknowledge', 'visibility', 'purge', 'redrive']);

/** Throws INVALID_ARGUMENT for half of a dead-letter policy. */
function attributesOf(input: CreateQueueInput): QueueAttributes {
  const { maxReceives, deadLetterQueue } = input;
  if ((maxReceives === 0) !== (deadLetterQueue === '')) {
    throw new ThawError(
      'INVALID_ARGUMENT',
      'maxReceives and deadLetterQueue go together: give both, or 0 and an empty text',
      { details: { field: maxReceives === 0 ? 'maxReceives' : 'deadLetterQueue' } },
    );
  }
  return {
    visibilityTimeoutMs: input.visibilityTimeoutSeconds * SECOND_MS,
    delayMs: input.delaySeconds * SECOND_MS,
    retentionMs: input.retentionSeconds * SECOND_MS,
    messageBytesMax: input.messageBytesMax,
    ...(maxReceives === 0 ? {} : { maxReceives, deadLetterQueue }),
  };
}

function inputOf(queueName: string, attributes: QueueAttributes): CreateQueueInput {
  return {
    queueName,
    visibilityTimeoutSeconds: attributes.visibilityTimeoutMs / SECOND_MS,
    delaySeconds: attributes.delayMs / SECOND_MS,
    retentionSeconds: attributes.retentionMs / SECOND_MS,
    messageBytesMax: attributes.messageBytesMax,
    maxReceives: attributes.maxReceives ?? 0,
    deadLetterQueue: attributes.deadLetterQueue ?? '',
  };
}

function changed(before: CreateQueueInput, input: UpdateQueueInput): CreateQueueInput {
  return {
    queueName: before.queueName,
    visibilityTimeoutSeconds: input.visibilityTimeoutSeconds ?? before.visibilityTimeoutSeconds,
    delaySeconds: input.delaySeconds ?? before.delaySeconds,
    retentionSeconds: input.retentionSeconds ?? before.retentionSeconds,
    messageBytesMax: input.messageBytesMax ?? before.messageBytesMax,
    maxReceives: input.maxReceives ?? before.maxReceives,
    deadLetterQueue: input.deadLetterQueue ?? before.deadLetterQueue,
  };
}

function queueBody({ name, attributes, createdAt, oldestAt, ...counts }: QueueDescription): object {
  return {
    ...inputOf(name, attributes),
    createdTime: new Date(createdAt).toISOString(),
    ...counts,
    ...(oldestAt === undefined ? {} : { oldestTime: new Date(oldestAt).toISOString() }),
  };
}

function newMessage(input: ReturnType<typeof sendMessageInput.parse>): NewMessage {
  const { body, attributes, delaySeconds } = input;
  return {
    body,
    attributes,
    ...(delaySeconds === undefined ? {} : { delayMs: delaySeconds * SECOND_MS }),
  };
}

function messageBody(message: ReceivedMessage): object {
  const { receipt, sentAt, firstReceivedAt, ...rest } = message;
  return {
    ...rest,
    receiptHandle: receipt,
    sentTime: new Date(sentAt).toISOString(),
    firstReceivedTime: new Date(firstReceivedAt).toISOString(),
  };
}

function textOf(body: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body);
  } catch (cause) {
    throw new ThawError('INVALID_ARGUMENT', 'a message is text in UTF-8; encode other bytes, as base64 say', {
      cause,
    });
  }
}
