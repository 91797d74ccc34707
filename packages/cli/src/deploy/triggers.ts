import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { apiPath, type Client } from '../api/client.ts';
import type { EventTriggerAnswer } from '../api/trigger-wire.ts';
import type { TriggerAnswer } from '../api/wire.ts';
import type { TriggerProps } from '../s-yaml/fc3-props.ts';
import type { Resource } from '../s-yaml/resource.ts';
import { type Change, isSatisfiedBy } from './config-diff.ts';

export interface TriggersDeployed {
  readonly changes: readonly Change[];
  readonly urls: readonly string[];
}

/** Creates and updates the triggers of the file. Triggers that are only on the platform stay, as with Serverless Devs. */
export async function deployTriggers(client: Client, resource: Resource): Promise<TriggersDeployed> {
  const changes: Change[] = [];
  const urls: string[] = [];
  for (const trigger of resource.props.triggers) {
    const path = apiPath('functions', resource.props.functionName, 'triggers', trigger.triggerName);
    const actual = await client.find<EventTriggerAnswer>({ method: 'GET', path });
    const deployed = await deployTrigger(client, resource.props.functionName, path, trigger, actual);
    changes.push(...deployed.changes);
    const url = deployed.trigger.httpTrigger?.urlInternet;
    if (url !== undefined && url !== '') urls.push(url);
  }
  return { changes, urls };
}

interface TriggerDeployed {
  readonly changes: readonly Change[];
  readonly trigger: TriggerAnswer;
}

async function deployTrigger(
  client: Client,
  functionName: string,
  path: string,
  wanted: TriggerProps,
  actual: EventTriggerAnswer | undefined,
): Promise<TriggerDeployed> {
  const field = `triggers.${wanted.triggerName}`;
  const isAnother =
    actual?.triggerType !== wanted.triggerType ||
    (wanted.sourceArn !== undefined && actual.sourceArn !== wanted.sourceArn);
  if (actual === undefined || isAnother) {
    // A trigger's type and source are what it is; with others it is another trigger of the same name.
    if (actual !== undefined) await client.send({ method: 'DELETE', path });
    const trigger = await client.json<TriggerAnswer>({
      method: 'POST',
      path: apiPath('functions', functionName, 'triggers'),
      json: { ...wanted, triggerConfig: JSON.stringify(wanted.triggerConfig) },
    });
    return { changes: [{ field, from: actual?.triggerType, to: wanted.triggerType }], trigger };
  }
  const changes = triggerChanges(field, wanted, actual);
  if (changes.length === 0) return { changes, trigger: actual };
  const { qualifier, description, invocationRole } = wanted;
  const trigger = await client.json<TriggerAnswer>({
    method: 'PUT',
    path,
    json: { qualifier, description, invocationRole, triggerConfig: JSON.stringify(wanted.triggerConfig) },
  });
  return { changes, trigger: { ...actual, ...trigger } };
}

function triggerChanges(field: string, wanted: TriggerProps, actual: TriggerAnswer): Change[] {
  const changes: Change[] = [];
  const from = parseConfig(actual);
  // Both ways: a key that left the file must leave the platform too.
  if (!isSatisfiedBy(wanted.triggerConfig, from) || !isSatisfiedBy(from, wanted.triggerConfig)) {
    changes.push({ field: `${field}.triggerConfig`, from, to: wanted.triggerConfig });
  }
  for (const name of ['qualifier', 'description'] as const) {
    if (!isSatisfiedBy(wanted[name], actual[name])) {
      changes.push({ field: `${field}.${name}`, from: actual[name], to: wanted[name] });
    }
  }
  return changes;
}

function parseConfig(trigger: TriggerAnswer): unknown {
  const text = trigger.triggerConfig ?? '{}';
  try {
    return JSON.parse(text === '' ? '{}' : text);
  } catch (error) {
    throw new ThawError('INTERNAL', `reading the configuration of trigger ${trigger.triggerName}`, {
      cause: error,
    });
  }
}
