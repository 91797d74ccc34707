import { parseFc } from '@thaw/protocol/fc/parse.ts';
import { httpTriggerConfig } from '@thaw/protocol/fc/trigger.ts';
import { databaseTriggerConfig } from '@thaw/protocol/fc/triggers/database.ts';
import { eventBridgeTriggerConfig } from '@thaw/protocol/fc/triggers/eventbridge.ts';
import { ossTriggerConfig } from '@thaw/protocol/fc/triggers/oss.ts';
import { queueTriggerConfig } from '@thaw/protocol/fc/triggers/queue.ts';
import { timerTriggerConfig } from '@thaw/protocol/fc/triggers/timer.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { z } from 'zod';
import { assertNever } from '../base/assert-never.ts';
import type { HttpTriggerConfig, Trigger, TriggerBase } from '../model/trigger.ts';

const TRIGGER_TYPES = ['http', 'timer', 'oss', 'queue', 'database', 'eventbridge'] as const;
type TriggerType = (typeof TRIGGER_TYPES)[number];

/** Types that FC has and Thaw has not: whoever moves here should read another sentence than of a misspelled one. */
const OTHER_TYPES = ['log', 'tablestore', 'cdn_events', 'mns_topic'];

/** Throws INVALID_ARGUMENT. */
export function requireTriggerType(triggerType: string): TriggerType {
  const known = TRIGGER_TYPES.find((each) => each === triggerType);
  if (known !== undefined) return known;
  const reason = OTHER_TYPES.includes(triggerType) ? 'is not supported by this version' : 'does not exist';
  throw new ThawError(
    'INVALID_ARGUMENT',
    `triggerType '${triggerType}' ${reason}; there are: ${TRIGGER_TYPES.join(', ')}`,
    { details: { field: 'triggerType' } },
  );
}

/** The trigger that `triggerConfigText` describes. Throws INVALID_ARGUMENT that names the field. */
export function configuredTrigger(triggerType: TriggerType, base: TriggerBase, isPaused: boolean): Trigger {
  const text = base.triggerConfigText;
  switch (triggerType) {
    case 'http':
      return { ...base, triggerType, http: parseHttpConfig(text) };
    case 'timer':
      return { ...base, triggerType, config: parseConfig(timerTriggerConfig, text), isPaused };
    case 'oss':
      return { ...base, triggerType, config: parseConfig(ossTriggerConfig, text), isPaused };
    case 'queue':
      return { ...base, triggerType, config: parseConfig(queueTriggerConfig, text), isPaused };
    case 'database':
      return { ...base, triggerType, config: parseConfig(databaseTriggerConfig, text), isPaused };
    case 'eventbridge':
      return { ...base, triggerType, config: parseConfig(eventBridgeTriggerConfig, text), isPaused };
    default:
      return assertNever(triggerType, 'trigger type');
  }
}

function parseHttpConfig(text: string): HttpTriggerConfig {
  const { corsConfig, ...rest } = parseConfig(httpTriggerConfig, text);
  return corsConfig === undefined ? rest : { ...rest, corsConfig };
}

function parseConfig<T>(schema: z.ZodType<T>, text: string): T {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new ThawError('INVALID_ARGUMENT', 'triggerConfig must be the text of a JSON object', {
      cause: error,
      details: { field: 'triggerConfig' },
    });
  }
  try {
    return parseFc(schema, value);
  } catch (error) {
    const reason = error instanceof Error ? error.message : 'is not valid';
    throw new ThawError('INVALID_ARGUMENT', `triggerConfig: ${reason}`, {
      details: { field: 'triggerConfig' },
    });
  }
}
