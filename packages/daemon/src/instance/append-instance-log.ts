import type { LogStore } from '../telemetry/log-store/log-store.ts';
import type { InstanceLog } from './instance.ts';

const ACTIVATION_END = 'XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX';

/** One entry may hold several lines; the newline at its end begins no further one. */
export function appendInstanceLog(
  logs: Pick<LogStore, 'append'>,
  time: number,
  { instance, requestId, source, text }: InstanceLog,
): void {
  const { functionName, versionId } = instance.runnable;
  const lines = (text.endsWith('\n') ? text.slice(0, -1) : text).split('\n');
  for (const line of lines) {
    // OpenWhisk's containers mark the end of each activation in their output; it says nothing here.
    if (instance.runnable.family === 'action' && line === ACTIVATION_END) continue;
    logs.append({ time, functionName, versionId, requestId, instanceId: instance.id, source, text: line });
  }
}
