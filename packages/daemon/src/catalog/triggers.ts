import { randomUUID } from 'node:crypto';
import type { CreateTriggerInput, UpdateTriggerInput } from '@thaw/protocol/fc/trigger.ts';
import { LIMITS } from '@thaw/protocol/limits.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Trigger, TriggerBase } from '../model/trigger.ts';
import { requireFunction, timeStamp, write, writeNew, type CatalogContext } from './catalog-context.ts';
import { pageOf, type Page, type PageRequest } from './page.ts';
import { configuredTrigger, requireTriggerType } from './trigger-config.ts';
import { requireVersion } from './versions.ts';
import { TRIGGERS } from './record-kinds.ts';

/** Triggers: what invokes a function. What an event trigger's source alone can judge is asked of `checkTrigger`. */
export class Triggers {
  readonly #context: CatalogContext;

  constructor(context: CatalogContext) {
    this.#context = context;
  }

  /** Throws TRIGGER_EXISTS, LIMIT_EXCEEDED, INVALID_ARGUMENT, or what the qualifier lacks. */
  create(functionName: string, input: CreateTriggerInput): Trigger {
    const { records, clock } = this.#context;
    requireFunction(records, functionName);
    const triggerType = requireTriggerType(input.triggerType);
    requireVersion(records, functionName, input.qualifier);
    const key = TRIGGERS.key(functionName, input.triggerName);
    const exists = `trigger '${input.triggerName}' of function '${functionName}' already exists`;
    if (records.get(key) !== undefined) throw new ThawError('TRIGGER_EXISTS', exists);
    if (TRIGGERS.list(records, `${functionName}/`).length >= LIMITS.triggersPerFunctionMax) {
      throw new ThawError(
        'LIMIT_EXCEEDED',
        `function '${functionName}' has ${LIMITS.triggersPerFunctionMax} triggers, which is the most it can have`,
      );
    }
    const now = timeStamp(clock);
    const trigger = this.#checked(
      configuredTrigger(
        triggerType,
        {
          triggerId: randomUUID(),
          functionName,
          triggerName: input.triggerName,
          qualifier: input.qualifier,
          description: input.description,
          sourceArn: input.sourceArn,
          invocationRole: input.invocationRole,
          triggerConfigText: input.triggerConfig,
          createdTime: now,
          lastModifiedTime: now,
        },
        false,
      ),
    );
    writeNew(
      this.#context,
      [{ kind: 'put', key, value: trigger, expectedRevision: 0 }],
      'TRIGGER_EXISTS',
      exists,
    );
    return trigger;
  }

  update(functionName: string, triggerName: string, input: UpdateTriggerInput): Trigger {
    const { trigger, storeRevision } = this.#require(functionName, triggerName);
    if (input.qualifier !== undefined) requireVersion(this.#context.records, functionName, input.qualifier);
    const changes = {
      qualifier: input.qualifier ?? trigger.qualifier,
      description: input.description ?? trigger.description,
      invocationRole: input.invocationRole ?? trigger.invocationRole,
      triggerConfigText: input.triggerConfig ?? trigger.triggerConfigText,
      lastModifiedTime: timeStamp(this.#context.clock),
    };
    const changed =
      input.triggerConfig === undefined
        ? { ...trigger, ...changes }
        : this.#checked(
            configuredTrigger(trigger.triggerType, { ...baseOf(trigger), ...changes }, isPaused(trigger)),
          );
    return this.#replace(changed, storeRevision);
  }

  /** Throws INVALID_ARGUMENT for an HTTP trigger, which waits for nothing that could be held back. */
  setPaused(functionName: string, triggerName: string, paused: boolean): Trigger {
    const { trigger, storeRevision } = this.#require(functionName, triggerName);
    if (trigger.triggerType === 'http') {
      throw new ThawError(
        'INVALID_ARGUMENT',
        `trigger '${triggerName}' of function '${functionName}' is an HTTP trigger, which cannot be paused; delete it, or disable the function`,
      );
    }
    if (trigger.isPaused === paused) return trigger;
    return this.#replace(
      { ...trigger, isPaused: paused, lastModifiedTime: timeStamp(this.#context.clock) },
      storeRevision,
    );
  }

  require(functionName: string, triggerName: string): Trigger {
    return this.#require(functionName, triggerName).trigger;
  }

  list(functionName: string, prefix: string, request: PageRequest): Page<Trigger> {
    const { records } = this.#context;
    requireFunction(records, functionName);
    const triggers = TRIGGERS.list(records, `${functionName}/${prefix}`).map((stored) => stored.value);
    return pageOf(triggers, (trigger) => trigger.triggerName, request);
  }

  /** Of one function, or of all. Throws FUNCTION_NOT_FOUND. */
  listAll(functionName?: string): readonly Trigger[] {
    const { records } = this.#context;
    if (functionName !== undefined) requireFunction(records, functionName);
    const within = functionName === undefined ? '' : `${functionName}/`;
    return TRIGGERS.list(records, within).map((stored) => stored.value);
  }

  delete(functionName: string, triggerName: string): void {
    const { storeRevision } = this.#require(functionName, triggerName);
    const key = TRIGGERS.key(functionName, triggerName);
    write(this.#context, [{ kind: 'delete', key, expectedRevision: storeRevision }]);
  }

  #checked(trigger: Trigger): Trigger {
    if (trigger.triggerType !== 'http') this.#context.checkTrigger(trigger);
    return trigger;
  }

  #replace(trigger: Trigger, expectedRevision: number): Trigger {
    const key = TRIGGERS.key(trigger.functionName, trigger.triggerName);
    write(this.#context, [{ kind: 'put', key, value: trigger, expectedRevision }]);
    return trigger;
  }

  #require(functionName: string, triggerName: string): { trigger: Trigger; storeRevision: number } {
    const { records } = this.#context;
    requireFunction(records, functionName);
    const stored = TRIGGERS.get(records, functionName, triggerName);
    if (stored === undefined) {
      throw new ThawError(
        'TRIGGER_NOT_FOUND',
        `trigger '${triggerName}' of function '${functionName}' does not exist`,
        { details: { function: functionName, trigger: triggerName } },
      );
    }
    return { trigger: stored.value, storeRevision: stored.revision };
  }
}

function isPaused(trigger: Trigger): boolean {
  return trigger.triggerType !== 'http' && trigger.isPaused;
}

/** Without what belongs to the type, so that a configuration that has changed leaves nothing of the old one. */
function baseOf(trigger: Trigger): TriggerBase {
  const { triggerId, functionName, triggerName, sourceArn, createdTime } = trigger;
  const { qualifier, description, invocationRole, triggerConfigText, lastModifiedTime } = trigger;
  return {
    triggerId,
    functionName,
    triggerName,
    qualifier,
    description,
    sourceArn,
    invocationRole,
    triggerConfigText,
    createdTime,
    lastModifiedTime,
  };
}
