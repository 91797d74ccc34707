import { functionArn, layerVersionArn, type AccountPlace } from '../../catalog/arn.ts';
import type { ProvisionStatus } from '../../catalog/provisioning.ts';
import type {
  AsyncConfig,
  ConcurrencyConfig,
  ProvisionConfig,
  ScalingConfig,
} from '../../catalog/settings.ts';
import type { ImageState } from '../../image/image-store.ts';
import type {
  Alias,
  CodeRef,
  CustomContainerConfig,
  FunctionRecord,
  FunctionVersion,
  Layer,
} from '../../model/function.ts';
import type { Trigger } from '../../model/trigger.ts';

/** How the API spells what the catalog keeps. */

export function functionBody(
  record: FunctionRecord,
  version: FunctionVersion,
  place: AccountPlace,
  sizeOfLayer: (arn: string) => number,
  imageState: (digest: string) => ImageState,
): object {
  const { config, code } = version;
  const { passthrough, layers, customContainerConfig, ...fields } = config;
  const image = version.image === undefined ? undefined : imageState(version.image.image.digest);
  return {
    ...passthrough,
    ...fields,
    // FC gives layers back as objects with their size.
    layers: layers.map((arn) => ({ arn, size: sizeOfLayer(arn) })),
    functionId: record.functionId,
    functionArn: functionArn(place, config.functionName),
    codeSize: code.size,
    codeChecksum: code.checksum,
    createdTime: record.createdTime,
    lastModifiedTime: version.lastModifiedTime,
    ...(customContainerConfig === undefined
      ? {}
      : { customContainerConfig: containerBody(customContainerConfig, version, image) }),
    ...stateBody(image),
    tags: record.tags,
    ...(record.disabledReason === undefined
      ? {}
      : { invocationRestriction: { disable: true, reason: record.disabledReason } }),
  };
}

/** A function in an image can be called from the start; `Pending` says that the first call waits for the image. */
function stateBody(image: ImageState | undefined): object {
  if (image === undefined || image.state === 'ready')
    return { state: 'Active', lastUpdateStatus: 'Successful' };
  if (image.state === 'pending') return { state: 'Pending', lastUpdateStatus: 'InProgress' };
  const { code: stateReasonCode, message: stateReason } = image.error;
  return {
    state: 'Failed',
    stateReason,
    stateReasonCode,
    lastUpdateStatus: 'Failed',
    lastUpdateStatusReason: stateReason,
    lastUpdateStatusReasonCode: stateReasonCode,
  };
}

/** Without the password: whoever may read a function need not be able to pull for its owner. */
function containerBody(
  { registryConfig, ...config }: CustomContainerConfig,
  { image }: FunctionVersion,
  state: ImageState | undefined,
): object {
  const { authConfig, ...registry } = registryConfig ?? {};
  const { password: _secret, ...auth } = authConfig ?? {};
  return {
    ...config,
    ...(registryConfig === undefined
      ? {}
      : { registryConfig: { ...registry, ...(authConfig === undefined ? {} : { authConfig: auth }) } }),
    ...(image === undefined ? {} : { resolvedImageUri: image.uri }),
    accelerationInfo: { status: ACCELERATION_STATUS[state?.state ?? 'ready'] },
  };
}

/** FC's words. */
const ACCELERATION_STATUS = { pending: 'Preparing', ready: 'Ready', failed: 'Failed' } as const;

export function versionBody(version: FunctionVersion): object {
  const { versionId, description, createdTime, lastModifiedTime } = version;
  return { versionId, description, createdTime, lastModifiedTime };
}

export function aliasBody(alias: Alias): object {
  const { functionName: _path, ...body } = alias;
  return body;
}

export function triggerBody(trigger: Trigger, place: AccountPlace, publicUrl: string): object {
  const url = `${publicUrl}/http/${trigger.functionName}/${trigger.triggerName}/`;
  const isHttp = trigger.triggerType === 'http';
  return {
    triggerId: trigger.triggerId,
    triggerName: trigger.triggerName,
    triggerType: trigger.triggerType,
    triggerConfig: trigger.triggerConfigText,
    qualifier: trigger.qualifier,
    description: trigger.description,
    sourceArn: trigger.sourceArn,
    targetArn: functionArn(place, trigger.functionName),
    invocationRole: trigger.invocationRole,
    status: isHttp || !trigger.isPaused ? 'Active' : 'Paused',
    createdTime: trigger.createdTime,
    lastModifiedTime: trigger.lastModifiedTime,
    ...(isHttp ? { httpTrigger: { urlInternet: url, urlIntranet: url } } : {}),
  };
}

export function layerBody(layer: Layer, place: AccountPlace, locationOf: (code: CodeRef) => string): object {
  return {
    layerName: layer.layerName,
    version: layer.version,
    layerVersionArn: layerVersionArn(place, layer.layerName, layer.version),
    acl: String(layer.acl),
    description: layer.description,
    license: layer.license,
    compatibleRuntime: layer.compatibleRuntime,
    code: { location: locationOf(layer.code), repositoryType: 'OSS' },
    codeSize: layer.code.size,
    codeChecksum: layer.code.checksum,
    createTime: layer.createTime,
  };
}

export function concurrencyBody(config: ConcurrencyConfig, place: AccountPlace): object {
  return {
    functionArn: functionArn(place, config.functionName),
    reservedConcurrency: config.reservedConcurrency,
  };
}

export function asyncConfigBody(config: AsyncConfig, place: AccountPlace): object {
  return {
    ...config.settings,
    functionArn: functionArn(place, config.functionName, config.qualifier),
    createdTime: config.createdTime,
    lastModifiedTime: config.lastModifiedTime,
  };
}

export function provisionBody(config: ProvisionConfig, status: ProvisionStatus, place: AccountPlace): object {
  return {
    ...config.settings,
    target: status.target,
    current: status.current,
    currentError: status.currentError,
    functionArn: functionArn(place, config.functionName, config.qualifier),
  };
}

export function scalingBody(config: ScalingConfig, status: ProvisionStatus, place: AccountPlace): object {
  return {
    ...config.settings,
    targetInstances: status.target,
    currentInstances: status.current,
    currentError: status.currentError,
    functionArn: functionArn(place, config.functionName, config.qualifier),
  };
}

/** `nextToken` is absent on the last page, as clients expect. */
export function pageBody(name: string, items: readonly object[], nextToken: string | undefined): object {
  return nextToken === undefined ? { [name]: items } : { [name]: items, nextToken };
}
