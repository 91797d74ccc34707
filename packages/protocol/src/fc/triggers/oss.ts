import { z } from 'zod';
import { allowed, requiredText, text } from '../fields.ts';

const keyFilter = z.object(
  { prefix: text(1024).default(''), suffix: text(1024).default('') },
  { error: allowed('an object') },
);

/** What `triggerConfig` of an object trigger says; the bucket is named by the trigger's `sourceArn`, as in FC. */
export const ossTriggerConfig = z.object(
  {
    events: z
      .array(requiredText(64), { error: allowed('a list of event names') })
      .min(1, { error: 'must hold an event at least' })
      .max(10, { error: 'must hold at most 10 events' }),
    filter: z.object({ key: keyFilter.optional() }, { error: allowed('an object') }).default({}),
  },
  { error: allowed('the text of a JSON object') },
);
export type OssTriggerConfig = z.infer<typeof ossTriggerConfig>;
