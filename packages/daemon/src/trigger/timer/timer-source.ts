import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Clock } from '../../base/clock.ts';
import type { TimerTrigger } from '../../model/trigger.ts';
import type { AttachedTrigger, TriggerSource, TriggerState, TriggerTarget } from '../trigger-source.ts';
import { parseTimerSchedule } from './timer-schedule.ts';
import { RunningTimer } from './running-timer.ts';
import { timerEvent } from './timer-event.ts';

const IDLE: AttachedTrigger = { detach: () => Promise.resolve() };

/** Times: cron expressions in any zone, and intervals. */
export class TimerSource implements TriggerSource<TimerTrigger> {
  readonly triggerType = 'timer';
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  check({ config }: TimerTrigger): void {
    try {
      parseTimerSchedule(config);
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new ThawError('INVALID_ARGUMENT', `triggerConfig: ${why}`, {
        cause,
        details: { field: 'triggerConfig' },
      });
    }
  }

  attach(trigger: TimerTrigger, target: TriggerTarget): AttachedTrigger {
    if (!trigger.config.enable) {
      this.paused(trigger, target.state);
      return IDLE;
    }
    return new RunningTimer(trigger, target, this.#clock);
  }

  /** Times that pass during a pause are not made up for: whoever pauses a timer does not want them. */
  paused(_trigger: TimerTrigger, state: TriggerState): void {
    if (state.get() !== undefined) state.set(undefined);
  }

  sampleEvent(trigger: TimerTrigger): Buffer {
    return timerEvent(trigger, this.#clock.now());
  }
}
