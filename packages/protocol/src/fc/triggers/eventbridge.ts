import { z } from 'zod';
import { allowed, resourceName, text } from '../fields.ts';

const PATTERN_CHARACTERS_MAX = 4096;
const FILTERS_MAX = 50;

export const eventBusName = resourceName(128);

/** What `triggerConfig` of an event-bus trigger says. Patterns and filters are checked where they are compiled. */
export const eventBridgeTriggerConfig = z.object(
  {
    eventBusName: eventBusName.default('default'),
    /** Where CloudEvents go that the function answers with, as Knative's brokers take replies; absent: nowhere. */
    replyEventBusName: eventBusName.optional(),
    /** EventBridge's pattern: attribute names with lists of values or matchers. Empty takes every event. */
    pattern: z.record(z.string(), z.unknown(), { error: allowed('an object') }).default({}),
    /** The same as FC writes it: a JSON text. */
    eventRuleFilterPattern: text(PATTERN_CHARACTERS_MAX).default(''),
    /** CloudEvents' filters ("Subscriptions API", section 3.2.4.1); an event must pass every one. */
    filters: z
      .array(z.record(z.string(), z.unknown(), { error: allowed('a list of objects') }), {
        error: allowed('a list of filters'),
      })
      .max(FILTERS_MAX, { error: `must hold at most ${FILTERS_MAX} filters` })
      .default([]),
  },
  { error: allowed('the text of a JSON object') },
);
export type EventBridgeTriggerConfig = z.infer<typeof eventBridgeTriggerConfig>;
