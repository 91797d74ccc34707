import type { TimerTrigger } from '../../model/trigger.ts';

/** FC's event of a time trigger (Function Compute 3.0, "Time triggers: event"). */
export function timerEvent({ triggerName, config }: TimerTrigger, tickMs: number): Buffer {
  const triggerTime = `${new Date(tickMs).toISOString().slice(0, 19)}Z`;
  return Buffer.from(JSON.stringify({ triggerTime, triggerName, payload: config.payload }));
}
