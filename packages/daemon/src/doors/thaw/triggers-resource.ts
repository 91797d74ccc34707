import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { EventTrigger, Trigger } from '../../model/trigger.ts';
import type { TriggerEngine } from '../../trigger/trigger-engine.ts';
import type { Delivery } from '../../trigger/trigger-log.ts';
import type { InvokedEvent } from '../../trigger/trigger-source.ts';
import type { TriggerStatus } from '../../trigger/trigger-status.ts';
import { noSuchMethod, type ThawAnswer, type ThawCall, type ThawResource } from './thaw-resource.ts';

/** What of the catalog's triggers this part of the API needs. */
export interface TriggerCatalog {
  /** Throws FUNCTION_NOT_FOUND or TRIGGER_NOT_FOUND. */
  require(functionName: string, triggerName: string): Trigger;
  /** Of one function, or of all. */
  listAll(functionName?: string): readonly Trigger[];
  setPaused(functionName: string, triggerName: string, isPaused: boolean): Trigger;
}

export interface TriggersResourceDeps {
  readonly triggers: TriggerCatalog;
  readonly engine: TriggerEngine;
}

/**
 * How triggers are doing, for what FC's API has no words for: `/thaw/v1/triggers`,
 * `/thaw/v1/functions/<f>/triggers[/<t>[/pause|resume|sample|test]]`. They are made and changed through FC's.
 */
export class TriggersResource implements ThawResource {
  readonly #deps: TriggersResourceDeps;

  constructor(deps: TriggersResourceDeps) {
    this.#deps = deps;
  }

  owns([collection, , inner]: readonly string[]): boolean {
    return collection === 'triggers' || (collection === 'functions' && inner === 'triggers');
  }

  async handle(call: ThawCall): Promise<ThawAnswer> {
    const { triggers, engine } = this.#deps;
    const [collection, functionName = '', , triggerName, action, ...rest] = call.segments;
    const isKnown = collection === 'functions' ? rest.length === 0 : call.segments.length === 1;
    if (!isKnown) throw new ThawError('PATH_NOT_SUPPORTED', `there is nothing at ${call.path}`);
    if (triggerName === undefined) {
      requireMethod(call, 'GET');
      const listed = triggers.listAll(collection === 'functions' ? functionName : undefined);
      return { json: { triggers: listed.map((trigger) => listBody(engine.statusOf(trigger))) } };
    }
    const trigger = triggers.require(functionName, triggerName);
    switch (action) {
      case undefined:
        requireMethod(call, 'GET');
        return { json: statusBody(engine.statusOf(trigger)) };
      case 'pause':
      case 'resume':
        requireMethod(call, 'POST');
        triggers.setPaused(functionName, triggerName, action === 'pause');
        return { json: statusBody(engine.statusOf(triggers.require(functionName, triggerName))) };
      case 'sample':
        requireMethod(call, 'GET');
        return { json: bytesAs('event', engine.sampleEvent(trigger)) };
      case 'test':
        requireMethod(call, 'POST');
        return { json: await this.#test(trigger, call) };
      default:
        throw new ThawError('PATH_NOT_SUPPORTED', `there is nothing at ${call.path}`);
    }
  }

  async #test(trigger: Trigger, { body, signal }: ThawCall): Promise<object> {
    // Also judges that it is an event trigger.
    const sample = this.#deps.engine.sampleEvent(trigger);
    const event = body.length === 0 ? sample : body;
    const answer = await this.#deps.engine.test(requireEventTrigger(trigger), event, signal);
    return { ...bytesAs('event', event), ...answerBody(answer) };
  }
}

function requireEventTrigger(trigger: Trigger): EventTrigger {
  if (trigger.triggerType !== 'http') return trigger;
  throw new ThawError('INVALID_ARGUMENT', `trigger '${trigger.triggerName}' has no events`);
}

function requireMethod(call: ThawCall, method: string): void {
  if (call.method !== method) throw noSuchMethod(call);
}

function answerBody({ requestId, body, error }: InvokedEvent): object {
  if (error === undefined) return { requestId, ...bytesAs('answer', body) };
  return {
    requestId,
    errorCode: error.code,
    errorMessage: error.message,
    ...(error.functionError === undefined ? {} : { functionError: error.functionError }),
  };
}

function listBody({ deliveries, failures, ...status }: TriggerStatus): object {
  const [lastDelivery] = deliveries;
  const [lastFailure] = failures;
  return {
    ...commonBody(status),
    ...(lastDelivery === undefined ? {} : { lastDelivery: timed(lastDelivery) }),
    ...(lastFailure === undefined ? {} : { lastFailure: timed(lastFailure) }),
  };
}

function statusBody({ deliveries, failures, ...status }: TriggerStatus): object {
  return { ...commonBody(status), deliveries: deliveries.map(timed), failures: failures.map(timed) };
}

function commonBody({ problem, ...status }: Omit<TriggerStatus, 'deliveries' | 'failures'>): object {
  return {
    ...status,
    ...(problem === undefined ? {} : { problem: { ...problem, since: isoTime(problem.since) } }),
  };
}

function timed({ at, ...rest }: Delivery): object {
  return { time: isoTime(at), ...rest };
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}

/** Text where the bytes are text, else base64: nothing is lost either way. */
function bytesAs(name: string, bytes: Buffer): object {
  try {
    return { [name]: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes) };
  } catch {
    return { [`${name}Base64`]: bytes.toString('base64') };
  }
}
