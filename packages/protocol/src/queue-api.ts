import { z } from 'zod';
import { allowed, text, wholeNumber } from './fc/fields.ts';
import { queueName } from './fc/triggers/queue.ts';

/** What `/thaw/v1/queues` takes. Times are in seconds. */

export const QUEUE_BATCH_MAX = 100;
export const QUEUE_MESSAGE_BYTES_MAX = 4 * 1024 * 1024;
export const QUEUE_WAIT_SECONDS_MAX = 60;
const MESSAGE_ATTRIBUTES_MAX = 20;
const VISIBILITY_SECONDS_MAX = 12 * 3600;
const DELAY_SECONDS_MAX = 7 * 86_400;
const OBJECT = { error: allowed('a JSON object') };

const visibilityTimeoutSeconds = wholeNumber(0, VISIBILITY_SECONDS_MAX, 'seconds');
const delaySeconds = wholeNumber(0, DELAY_SECONDS_MAX, 'seconds');

const attributes = {
  visibilityTimeoutSeconds,
  delaySeconds,
  retentionSeconds: wholeNumber(60, 30 * 86_400, 'seconds'),
  messageBytesMax: wholeNumber(1, QUEUE_MESSAGE_BYTES_MAX, 'bytes'),
  /** 0: as often as it takes. */
  maxReceives: wholeNumber(0, 1_000, 'receives'),
  /** Empty: none. */
  deadLetterQueue: z.union([z.literal(''), queueName], { error: allowed('the name of a queue') }),
};

export const createQueueInput = z.object(
  {
    queueName,
    visibilityTimeoutSeconds: attributes.visibilityTimeoutSeconds.default(30),
    delaySeconds: attributes.delaySeconds.default(0),
    retentionSeconds: attributes.retentionSeconds.default(4 * 86_400),
    messageBytesMax: attributes.messageBytesMax.default(256 * 1024),
    maxReceives: attributes.maxReceives.default(0),
    deadLetterQueue: attributes.deadLetterQueue.default(''),
  },
  OBJECT,
);
export type CreateQueueInput = z.infer<typeof createQueueInput>;

/** What is left out stays as it is. */
export const updateQueueInput = z.object(attributes, OBJECT).partial();
export type UpdateQueueInput = z.infer<typeof updateQueueInput>;

const message = z.object(
  {
    /** Text; what is not is the sender's to encode. */
    body: z.string({ error: allowed('a text') }).min(1, { error: 'must not be empty' }),
    attributes: z
      .record(text(128), text(4096), { error: allowed('an object of texts') })
      .refine((given) => Object.keys(given).length <= MESSAGE_ATTRIBUTES_MAX, {
        error: `must hold at most ${MESSAGE_ATTRIBUTES_MAX} attributes`,
      })
      .default({}),
    delaySeconds: delaySeconds.optional(),
  },
  OBJECT,
);

export const sendMessagesInput = z.object({ messages: atMost(message, 'messages') }, OBJECT);
export const sendMessageInput = message;

export const receiveMessagesInput = z.object(
  {
    maxMessages: wholeNumber(1, QUEUE_BATCH_MAX, 'messages').default(1),
    /** How long to wait where there is none. */
    waitSeconds: wholeNumber(0, QUEUE_WAIT_SECONDS_MAX, 'seconds').default(0),
    visibilityTimeoutSeconds: visibilityTimeoutSeconds.optional(),
  },
  OBJECT,
);

const receiptHandle = text(64);

export const acknowledgeInput = z.object({ receiptHandles: atMost(receiptHandle, 'receipts') }, OBJECT);

export const changeVisibilityInput = z.object(
  { entries: atMost(z.object({ receiptHandle, visibilityTimeoutSeconds }, OBJECT), 'entries') },
  OBJECT,
);

export const redriveInput = z.object(
  { maxMessages: wholeNumber(1, 10_000, 'messages').default(1_000) },
  OBJECT,
);

function atMost<T extends z.ZodType>(item: T, what: string): z.ZodArray<T> {
  return z
    .array(item, { error: allowed(`a list of ${what}`) })
    .min(1, { error: `must hold at least one of the ${what}` })
    .max(QUEUE_BATCH_MAX, { error: `must hold at most ${QUEUE_BATCH_MAX} ${what}` });
}
