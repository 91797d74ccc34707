import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { FunctionGrant } from '../../model/function-grant.ts';
import { DEFAULT_BUS, type EventBuses } from '../../trigger/eventbridge/event-buses.ts';
import { parseCloudEvents } from '../../trigger/eventbridge/parse-cloud-events.ts';
import { noSuchMethod, type ThawAnswer, type ThawCall, type ThawResource } from './thaw-resource.ts';

const BODY_BYTES_MAX = 4 * 1024 * 1024;

/** `/thaw/v1/event-buses[/<bus>/events]`, and `/thaw/v1/events` for the default bus: CloudEvents by HTTP. */
export class EventBusesResource implements ThawResource {
  readonly bodyBytesMax = BODY_BYTES_MAX;
  readonly takesBasic = true;
  readonly #buses: EventBuses;

  constructor(buses: EventBuses) {
    this.#buses = buses;
  }

  owns([collection]: readonly string[]): boolean {
    return collection === 'event-buses' || collection === 'events';
  }

  allows({ eventBuses }: FunctionGrant, { segments }: Pick<ThawCall, 'method' | 'segments'>): boolean {
    const busName = busOf(segments);
    return busName !== undefined && eventBuses.has(busName);
  }

  async handle(call: ThawCall): Promise<ThawAnswer> {
    const busName = busOf(call.segments);
    if (busName === undefined) {
      if (call.segments.length > 1)
        throw new ThawError('PATH_NOT_SUPPORTED', `there is nothing at ${call.path}`);
      if (call.method !== 'GET') throw noSuchMethod(call);
      return { json: { eventBuses: await this.#buses.list() } };
    }
    if (call.method !== 'POST') throw noSuchMethod(call);
    await this.#buses.publish(busName, await parseCloudEvents(call.headers, call.body));
    return { status: 202 };
  }
}

/** Of the paths that take events. */
function busOf([collection, name, action, ...rest]: readonly string[]): string | undefined {
  if (collection === 'events' && name === undefined) return DEFAULT_BUS;
  return action === 'events' && rest.length === 0 ? name : undefined;
}
