import { isDeepStrictEqual } from 'node:util';
import {
  PASSTHROUGH_FIELDS,
  type CreateFunctionInput,
  type UpdateFunctionInput,
} from '@thaw/protocol/fc/function.ts';
import { LIMITS } from '@thaw/protocol/limits.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type {
  CustomContainerConfig,
  CustomRuntimeConfig,
  FunctionConfig,
  InstanceLifecycleConfig,
  LifecycleHook,
} from '../model/function.ts';
import {
  BUCKETS_VARIABLE,
  EVENT_BUSES_VARIABLE,
  parseBuckets,
  parseNames,
  QUEUES_VARIABLE,
} from '../model/function-grant.ts';
import { requireContainerConfig } from './container-image.ts';
import { sessionAffinityOf } from './keeping.ts';
import { runtimeFamily } from './runtime-family.ts';

const DISK_MB_DEFAULT = 512;
/** The user's variable that says after how many idle milliseconds an instance freezes, or `never`. */
export const FREEZE_AFTER_VARIABLE = 'THAW_FREEZE_AFTER_MS';
/** The user's variable that says whether the inputs of invocations are kept, `on` or `off`. */
export const RECORD_INPUTS_VARIABLE = 'THAW_RECORD_INPUTS';
const RECORD_INPUTS = ['on', 'off'];
const HANDLER_TYPES = ['auto', 'event', 'http'];
/** FC: one core needs 1 GB at least and 4 GB at most. */
const MEMORY_MB_PER_CORE_MIN = 1024;
const MEMORY_MB_PER_CORE_MAX = 4096;

/** The whole configuration of a new function, every default filled in. Throws INVALID_ARGUMENT, UNSUPPORTED_RUNTIME. */
export function newConfig(input: CreateFunctionInput): FunctionConfig {
  return changedConfig(
    {
      functionName: input.functionName,
      description: '',
      runtime: input.runtime,
      handler: input.handler,
      memorySize: LIMITS.memoryMbDefault,
      diskSize: DISK_MB_DEFAULT,
      timeout: LIMITS.functionTimeoutSDefault,
      instanceConcurrency: 1,
      environmentVariables: {},
      layers: [],
      internetAccess: true,
      instanceLifecycleConfig: {},
      passthrough: {},
    },
    input,
  );
}

/** The configuration after an update: a field that is not given stays as it is. */
export function changedConfig(current: FunctionConfig, input: UpdateFunctionInput): FunctionConfig {
  const cpu = input.cpu ?? current.cpu;
  const hotConfig = input.hotConfig ?? current.hotConfig;
  const customContainerConfig =
    input.customContainerConfig === undefined
      ? current.customContainerConfig
      : storedContainer(input.customContainerConfig);
  const customRuntimeConfig =
    input.customRuntimeConfig === undefined
      ? current.customRuntimeConfig
      : storedServer(input.customRuntimeConfig);
  const config: FunctionConfig = {
    functionName: current.functionName,
    description: input.description ?? current.description,
    runtime: input.runtime ?? current.runtime,
    handler: input.handler ?? current.handler,
    memorySize: input.memorySize ?? current.memorySize,
    ...(cpu === undefined ? {} : { cpu }),
    diskSize: input.diskSize ?? current.diskSize,
    timeout: input.timeout ?? current.timeout,
    instanceConcurrency: input.instanceConcurrency ?? current.instanceConcurrency,
    environmentVariables: input.environmentVariables ?? current.environmentVariables,
    layers: input.layers ?? current.layers,
    internetAccess: input.internetAccess ?? current.internetAccess,
    instanceLifecycleConfig:
      input.instanceLifecycleConfig === undefined
        ? current.instanceLifecycleConfig
        : configuredHooks(input.instanceLifecycleConfig),
    ...(customRuntimeConfig === undefined ? {} : { customRuntimeConfig }),
    ...(customContainerConfig === undefined ? {} : { customContainerConfig }),
    ...(hotConfig === undefined ? {} : { hotConfig }),
    passthrough: { ...current.passthrough, ...passthroughOf(input) },
  };
  requireConsistent(config);
  return config;
}

/** Whether an instance that was started with one of them can serve the other. */
export function runsEqually(left: FunctionConfig, right: FunctionConfig): boolean {
  return isDeepStrictEqual(whatRuns(left), whatRuns(right));
}

function whatRuns(config: FunctionConfig): unknown {
  const { logConfig, sessionAffinity, sessionAffinityConfig } = config.passthrough;
  return { ...config, description: '', passthrough: { logConfig, sessionAffinity, sessionAffinityConfig } };
}

/** A hook without a handler is one that was not configured: clients send empty objects for those. */
function configuredHooks(
  hooks: NonNullable<UpdateFunctionInput['instanceLifecycleConfig']>,
): InstanceLifecycleConfig {
  const configured: Partial<Record<keyof InstanceLifecycleConfig, LifecycleHook>> = {};
  for (const name of ['initializer', 'preFreeze', 'preStop', 'postThaw'] as const) {
    const hook = hooks[name];
    if (hook !== undefined && hook.handler !== '') configured[name] = hook;
  }
  return configured;
}

/** Without absent fields, as it comes back from the store: a change is found by comparing the two. */
function storedServer(given: NonNullable<UpdateFunctionInput['customRuntimeConfig']>): CustomRuntimeConfig {
  const { healthCheckConfig, port, ...server } = given;
  return {
    ...server,
    ...(port === undefined ? {} : { port }),
    ...(healthCheckConfig === undefined ? {} : { healthCheckConfig }),
  };
}

/** What the platform itself says of an image is made anew for each answer. */
function storedContainer(
  given: NonNullable<UpdateFunctionInput['customContainerConfig']>,
): CustomContainerConfig {
  const { accelerationInfo: _info, resolvedImageUri: _uri, ...config } = given;
  const stored: CustomContainerConfig = JSON.parse(JSON.stringify(config));
  return stored;
}

function passthroughOf(input: UpdateFunctionInput): Record<string, unknown> {
  const given: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(input)) {
    if (value !== undefined && PASSTHROUGH_FIELDS.includes(name)) given[name] = value;
  }
  return given;
}

/** What no single field can say. */
function requireConsistent(config: FunctionConfig): void {
  runtimeFamily(config.runtime);
  sessionAffinityOf(config);
  requireContainerConfig(config);
  if (config.cpu !== undefined) {
    const mbPerCore = config.memorySize / config.cpu;
    if (mbPerCore < MEMORY_MB_PER_CORE_MIN || mbPerCore > MEMORY_MB_PER_CORE_MAX) {
      throw new ThawError(
        'INVALID_ARGUMENT',
        `cpu must be between a quarter core and one core per GB of memory: for memorySize ${config.memorySize} from ${config.memorySize / MEMORY_MB_PER_CORE_MAX} to ${config.memorySize / MEMORY_MB_PER_CORE_MIN}`,
        { details: { field: 'cpu' } },
      );
    }
  }
  if (new Set(config.layers).size !== config.layers.length) {
    throw new ThawError('INVALID_ARGUMENT', 'layers must not name a layer version twice', {
      details: { field: 'layers' },
    });
  }
  const handlerType = config.environmentVariables['THAW_HANDLER_TYPE'];
  if (handlerType !== undefined && !HANDLER_TYPES.includes(handlerType)) {
    throw new ThawError(
      'INVALID_ARGUMENT',
      `environmentVariables.THAW_HANDLER_TYPE must be one of ${HANDLER_TYPES.join(', ')}`,
      { details: { field: 'environmentVariables.THAW_HANDLER_TYPE' } },
    );
  }
  const recordInputs = config.environmentVariables[RECORD_INPUTS_VARIABLE];
  if (recordInputs !== undefined && !RECORD_INPUTS.includes(recordInputs)) {
    throw new ThawError(
      'INVALID_ARGUMENT',
      `environmentVariables.${RECORD_INPUTS_VARIABLE} must be one of ${RECORD_INPUTS.join(', ')}`,
      { details: { field: `environmentVariables.${RECORD_INPUTS_VARIABLE}` } },
    );
  }
  parseBuckets(config.environmentVariables[BUCKETS_VARIABLE] ?? '');
  for (const variable of [QUEUES_VARIABLE, EVENT_BUSES_VARIABLE])
    parseNames(variable, config.environmentVariables);
  const freezeAfter = config.environmentVariables[FREEZE_AFTER_VARIABLE];
  if (freezeAfter !== undefined && freezeAfter !== 'never' && !/^\d{1,8}$/.test(freezeAfter)) {
    throw new ThawError(
      'INVALID_ARGUMENT',
      `environmentVariables.${FREEZE_AFTER_VARIABLE} must be a number of milliseconds or never`,
      { details: { field: `environmentVariables.${FREEZE_AFTER_VARIABLE}` } },
    );
  }
}
