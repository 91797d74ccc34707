import { z } from 'zod';
import { allowed, text } from '../fields.ts';

/** What `triggerConfig` of an event-bus trigger says. The pattern is checked where it is compiled. */
export const eventBridgeTriggerConfig = z.object(
  {
    eventBusName: text(128).default('default'),
    /** EventBridge's pattern: attribute names with lists of values or matchers. Empty takes every event. */
    pattern: z.record(z.string(), z.unknown(), { error: allowed('an object') }).default({}),
  },
  { error: allowed('the text of a JSON object') },
);
export type EventBridgeTriggerConfig = z.infer<typeof eventBridgeTriggerConfig>;
