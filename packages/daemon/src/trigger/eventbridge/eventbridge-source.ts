import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { EventBridgeTrigger } from '../../model/trigger.ts';
import type { AttachedTrigger, TriggerSource, TriggerTarget } from '../trigger-source.ts';
import type { EventBuses } from './event-buses.ts';
import { compileConfig } from './matches-event.ts';

/** CloudEvents of a bus. Those that come while a trigger is paused pass it by. */
export class EventBridgeSource implements TriggerSource<EventBridgeTrigger> {
  readonly triggerType = 'eventbridge';
  readonly #buses: EventBuses;

  constructor(buses: EventBuses) {
    this.#buses = buses;
  }

  check({ config }: EventBridgeTrigger): void {
    try {
      compileConfig(config);
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new ThawError('INVALID_ARGUMENT', `triggerConfig: ${why}`, {
        cause,
        details: { field: 'triggerConfig' },
      });
    }
  }

  attach({ triggerId }: EventBridgeTrigger, target: TriggerTarget): AttachedTrigger {
    this.#buses.setTarget(triggerId, target);
    return {
      detach: () => {
        this.#buses.setTarget(triggerId, undefined);
        return Promise.resolve();
      },
    };
  }

  sampleEvent({ config }: EventBridgeTrigger): Buffer {
    return Buffer.from(
      JSON.stringify({
        specversion: '1.0',
        id: 'sample-1',
        source: textIn(config.pattern['source']) ?? '/thaw/sample',
        type: textIn(config.pattern['type']) ?? 'com.example.sample',
        subject: 'sample',
        time: '2026-01-01T00:00:00Z',
        datacontenttype: 'application/json',
        data: { message: 'a sample event' },
      }),
    );
  }
}

/** The first text that a pattern's field names, so that the sample looks like what the trigger would get. */
function textIn(field: unknown): string | undefined {
  const first: unknown = Array.isArray(field) ? field.find((item) => typeof item === 'string') : undefined;
  return typeof first === 'string' && first !== '' ? first : undefined;
}
