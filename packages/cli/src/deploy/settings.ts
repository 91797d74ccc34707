import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { apiPath, type Call, type Client, type Query } from '../api/client.ts';
import type { Resource } from '../s-yaml/resource.ts';
import { type Change, isSatisfiedBy } from './config-diff.ts';

export interface SettingsDeployed {
  readonly changes: readonly Change[];
  readonly notes: readonly string[];
}

/** Settings of a function that are resources of their own: asynchronous invocation, reserved concurrency, provisioned instances. */
export async function deploySettings(client: Client, resource: Resource): Promise<SettingsDeployed> {
  const { functionName, asyncInvokeConfig, concurrencyConfig, provisionConfig, scalingConfig } =
    resource.props;
  const changes: Change[] = [];
  const notes: string[] = [];
  if (asyncInvokeConfig !== undefined) {
    const { qualifier, ...wanted } = asyncInvokeConfig;
    const path = apiPath('functions', functionName, 'async-invoke-config');
    await putSetting({ client, changes, notes }, 'asyncInvokeConfig', path, wanted, { qualifier });
  }
  if (concurrencyConfig !== undefined) {
    const path = apiPath('functions', functionName, 'concurrency');
    await putSetting({ client, changes, notes }, 'concurrencyConfig', path, concurrencyConfig, {});
  }
  if (provisionConfig !== undefined) {
    const { qualifier, ...wanted } = provisionConfig;
    const path = apiPath('functions', functionName, 'provision-config');
    await putSetting({ client, changes, notes }, 'provisionConfig', path, wanted, { qualifier });
    if (hasEntries(wanted.targetTrackingPolicies))
      notes.push(unapplied('provisionConfig.targetTrackingPolicies'));
  }
  if (scalingConfig !== undefined) {
    const { qualifier, ...wanted } = scalingConfig;
    const path = apiPath('functions', functionName, 'scaling-config');
    await putSetting({ client, changes, notes }, 'scalingConfig', path, wanted, { qualifier });
    if (hasEntries(wanted.horizontalScalingPolicies))
      notes.push(unapplied('scalingConfig.horizontalScalingPolicies'));
  }
  return { changes, notes };
}

function hasEntries(list: readonly unknown[] | undefined): boolean {
  return list !== undefined && list.length > 0;
}

function unapplied(field: string): string {
  return `${field} has no effect on this platform`;
}

interface Progress {
  readonly client: Client;
  readonly changes: Change[];
  readonly notes: string[];
}

async function putSetting(
  progress: Progress,
  field: string,
  path: string,
  wanted: unknown,
  query: Query,
): Promise<void> {
  const call = (method: Call['method']): Call => ({ method, path, query });
  try {
    const actual = await progress.client.find<unknown>(call('GET'));
    if (actual !== undefined && isSatisfiedBy(wanted, actual)) return;
    await progress.client.send({ ...call('PUT'), json: wanted });
    progress.changes.push({ field, from: actual, to: wanted });
  } catch (error) {
    // A file made for another platform still deploys; what it does not get is said.
    if (!(error instanceof ThawError) || error.code !== 'PATH_NOT_SUPPORTED') throw error;
    progress.notes.push(unapplied(field));
  }
}
