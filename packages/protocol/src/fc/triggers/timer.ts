import { z } from 'zod';
import { allowed, flag, oneOf, requiredText, text } from '../fields.ts';

const PAYLOAD_CHARACTERS_MAX = 4096;

/** What `triggerConfig` of a timer says. `cronExpression`: six fields, seconds first, or `@every 5m`. */
export const timerTriggerConfig = z.object(
  {
    cronExpression: requiredText(256),
    /** An IANA name; FC writes it as `CRON_TZ=Asia/Shanghai` in front of the expression, which is taken too. */
    timezone: text(64).default(''),
    enable: flag().default(true),
    payload: text(PAYLOAD_CHARACTERS_MAX).default(''),
    /** What of the times that passed while the platform was down is made up for: nothing, the last one, or all. */
    catchUp: oneOf(['none', 'last', 'all']).default('last'),
  },
  { error: allowed('the text of a JSON object') },
);
export type TimerTriggerConfig = z.infer<typeof timerTriggerConfig>;
export type CatchUp = TimerTriggerConfig['catchUp'];
