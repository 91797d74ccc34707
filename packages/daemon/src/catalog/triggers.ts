import { randomUUID } from 'node:crypto';
import { parseFc } from '@thaw/protocol/fc/parse.ts';
import {
  httpTriggerConfig,
  type CreateTriggerInput,
  type UpdateTriggerInput,
} from '@thaw/protocol/fc/trigger.ts';
import { LIMITS } from '@thaw/protocol/limits.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { HttpTriggerConfig, Trigger } from '../model/trigger.ts';
import { requireFunction, timeStamp, write, writeNew, type CatalogContext } from './catalog-context.ts';
import { pageOf, type Page, type PageRequest } from './page.ts';
import { requireVersion } from './versions.ts';
import { TRIGGERS } from './record-kinds.ts';

const OTHER_TYPES = ['timer', 'oss', 'log', 'tablestore', 'cdn_events', 'mns_topic', 'eventbridge'];

/** Triggers: what invokes a function. This version has HTTP triggers. */
export class Triggers {
  readonly #context: CatalogContext;

  constructor(context: CatalogContext) {
    this.#context = context;
  }

  /** Throws TRIGGER_EXISTS, LIMIT_EXCEEDED, INVALID_ARGUMENT, or what the qualifier lacks. */
  create(functionName: string, input: CreateTriggerInput): Trigger {
    const { records, clock } = this.#context;
    requireFunction(records, functionName);
    requireSupportedType(input.triggerType);
    const http = parseHttpConfig(input.triggerConfig);
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
    const trigger: Trigger = {
      triggerId: randomUUID(),
      functionName,
      triggerName: input.triggerName,
      triggerType: 'http',
      qualifier: input.qualifier,
      description: input.description,
      sourceArn: input.sourceArn,
      invocationRole: input.invocationRole,
      triggerConfigText: input.triggerConfig,
      http,
      createdTime: now,
      lastModifiedTime: now,
    };
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
    const changed: Trigger = {
      ...trigger,
      qualifier: input.qualifier ?? trigger.qualifier,
      description: input.description ?? trigger.description,
      invocationRole: input.invocationRole ?? trigger.invocationRole,
      triggerConfigText: input.triggerConfig ?? trigger.triggerConfigText,
      http: input.triggerConfig === undefined ? trigger.http : parseHttpConfig(input.triggerConfig),
      lastModifiedTime: timeStamp(this.#context.clock),
    };
    const key = TRIGGERS.key(functionName, triggerName);
    write(this.#context, [{ kind: 'put', key, value: changed, expectedRevision: storeRevision }]);
    return changed;
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

  delete(functionName: string, triggerName: string): void {
    const { storeRevision } = this.#require(functionName, triggerName);
    const key = TRIGGERS.key(functionName, triggerName);
    write(this.#context, [{ kind: 'delete', key, expectedRevision: storeRevision }]);
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

function requireSupportedType(triggerType: string): void {
  if (triggerType === 'http') return;
  const reason = OTHER_TYPES.includes(triggerType) ? 'is not supported by this version' : 'does not exist';
  throw new ThawError('INVALID_ARGUMENT', `triggerType '${triggerType}' ${reason}; this one is: http`, {
    details: { field: 'triggerType' },
  });
}

function parseHttpConfig(text: string): HttpTriggerConfig {
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
    const { corsConfig, ...rest } = parseFc(httpTriggerConfig, value);
    return corsConfig === undefined ? rest : { ...rest, corsConfig };
  } catch (error) {
    const reason = error instanceof Error ? error.message : 'is not valid';
    throw new ThawError('INVALID_ARGUMENT', `triggerConfig: ${reason}`, {
      details: { field: 'triggerConfig' },
    });
  }
}
