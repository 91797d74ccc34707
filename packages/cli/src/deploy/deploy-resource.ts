import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { apiPath, type Client } from '../api/client.ts';
import { type CodeReference, sendCode } from '../api/upload.ts';
import type { FunctionAnswer } from '../api/wire.ts';
import { formatBytes } from '../output/format.ts';
import type { Output } from '../output/output.ts';
import { type Bundling, type CodePackage, packCode } from '../package/pack-code.ts';
import type { Resource } from '../s-yaml/resource.ts';
import { type Change, configChanges, functionConfig, HANDLER_DEFAULT } from './config-diff.ts';
import { isContainer, untilImageIsHere, updateContainer } from './container.ts';
import { runPreDeploy } from './pre-deploy.ts';
import { deploySettings } from './settings.ts';
import { deployTags } from './tags.ts';
import { deployTriggers } from './triggers.ts';

export interface Deployed {
  readonly resource: string;
  readonly functionName: string;
  readonly outcome: 'created' | 'updated' | 'unchanged';
  readonly changes: readonly Change[];
  /** Addresses of its HTTP triggers. */
  readonly urls: readonly string[];
  readonly notes: readonly string[];
}

export interface Deployment {
  readonly client: Client;
  readonly output: Output;
  readonly signal: AbortSignal;
  /** Node functions become one file for each handler. */
  readonly isBundled?: boolean;
}

/** Brings one resource of the file to the platform; sends only what differs. */
export async function deployResource(deployment: Deployment, resource: Resource): Promise<Deployed> {
  for (const action of resource.preDeploy) await runPreDeploy(action, deployment.output, deployment.signal);
  const { functionName } = resource.props;
  await using code =
    resource.codePath === undefined
      ? undefined
      : await packCode(resource.codePath, deployment.isBundled === true ? bundlingOf(resource) : undefined);
  const actual = await deployment.client.find<FunctionAnswer>({
    method: 'GET',
    path: apiPath('functions', functionName),
  });
  const changes =
    actual === undefined
      ? await createFunction(deployment, resource, code)
      : await updateFunction(deployment, resource, code, actual);
  if (isContainer(resource)) await untilImageIsHere(deployment.client, functionName, deployment.signal);
  const triggers = await deployTriggers(deployment.client, resource);
  const settings = await deploySettings(deployment.client, resource);
  const all = [...changes, ...triggers.changes, ...settings.changes];
  return {
    resource: resource.name,
    functionName,
    outcome: actual === undefined ? 'created' : all.length === 0 ? 'unchanged' : 'updated',
    changes: all,
    urls: triggers.urls,
    notes: [...resource.notes, ...(code?.notes ?? []), ...settings.notes],
  };
}

function bundlingOf({ props }: Resource): Bundling | undefined {
  if (!props.runtime.startsWith('nodejs')) return undefined;
  const hooks = Object.values(props.instanceLifecycleConfig).map((hook) => hook?.handler);
  const handlers = [props.handler ?? HANDLER_DEFAULT, ...hooks];
  return { runtime: props.runtime, handlers: handlers.filter((handler) => handler !== undefined) };
}

async function createFunction(
  deployment: Deployment,
  resource: Resource,
  code: CodePackage | undefined,
): Promise<Change[]> {
  const tags = (resource.props.tags ?? []).map(({ key, value }) => ({ Key: key, Value: value }));
  const reference = await codeReference(deployment, resource, code);
  if (reference === undefined && !isContainer(resource)) {
    throw new ThawError('INVALID_ARGUMENT', `resource '${resource.name}' has no code`, {
      details: { advice: 'Set `code` to the directory with the function, or to a zip.' },
    });
  }
  await deployment.client.send({
    method: 'POST',
    path: apiPath('functions'),
    json: {
      ...functionConfig(resource.props),
      ...(reference === undefined ? {} : { code: reference }),
      ...(tags.length === 0 ? {} : { tags }),
    },
  });
  if (isContainer(resource)) return [{ field: 'image', to: resource.props.customContainerConfig?.['image'] }];
  return code === undefined ? [] : [{ field: 'code', to: formatBytes(code.size) }];
}

async function updateFunction(
  deployment: Deployment,
  resource: Resource,
  code: CodePackage | undefined,
  actual: FunctionAnswer,
): Promise<Change[]> {
  const config = functionConfig(resource.props);
  const changes = configChanges(config, actual);
  if (isContainer(resource)) {
    const all = await updateContainer(deployment.client, resource, config, changes, actual);
    return [...all, ...(await deployTags(deployment.client, resource, actual))];
  }
  // Code that only an object store holds has no checksum here, so it is sent every time.
  const isCodeNew =
    code === undefined ? resource.props.code !== undefined : code.checksum !== actual.codeChecksum;
  if (isCodeNew) {
    const to = code === undefined ? resource.props.code : formatBytes(code.size);
    changes.push({ field: 'code', from: formatBytes(actual.codeSize ?? 0), to });
  }
  if (changes.length > 0) {
    const reference = isCodeNew ? await codeReference(deployment, resource, code) : undefined;
    await deployment.client.send({
      method: 'PUT',
      path: apiPath('functions', resource.props.functionName),
      json: { ...config, ...(reference === undefined ? {} : { code: reference }) },
    });
  }
  return [...changes, ...(await deployTags(deployment.client, resource, actual))];
}

async function codeReference(
  deployment: Deployment,
  resource: Resource,
  code: CodePackage | undefined,
): Promise<CodeReference | undefined> {
  if (code !== undefined) {
    const { output } = deployment;
    output.note(output.styleError('dim', `  uploading ${formatBytes(code.size)} of code`));
    return sendCode(deployment.client, code);
  }
  const source = resource.props.code;
  if (
    typeof source !== 'object' ||
    source.ossBucketName === undefined ||
    source.ossObjectName === undefined
  ) {
    return undefined;
  }
  return { ossBucketName: source.ossBucketName, ossObjectName: source.ossObjectName };
}
