import type { FunctionConfig, FunctionVersion, HotFunctionConfig } from '../model/function.ts';
import type { RunnableVersion, RuntimeFamily, ServerConfig } from '../model/runnable.ts';
import type { AccountPlace } from './arn.ts';
import { CONTAINER_RUNTIME, containerCommand, containerOf } from './container-image.ts';
import { FREEZE_AFTER_VARIABLE, RECORD_INPUTS_VARIABLE } from './function-config.ts';
import { idleMsMaxOf, sessionAffinityOf } from './keeping.ts';
import { runtimeFamily } from './runtime-family.ts';

/** Where the files of a version are on this host. */
export interface CodeDirectories {
  readonly codeDirectory: string;
  readonly layerDirectory: string | undefined;
}

/** Everything that running a version takes, so that the invocation path looks nothing up. */
export function runnableVersion(
  version: FunctionVersion,
  directories: CodeDirectories,
  place: AccountPlace,
): RunnableVersion {
  const { config } = version;
  const family = familyOf(config);
  const hot = family === 'hot' ? (config.hotConfig ?? HOT_DEFAULTS) : undefined;
  return {
    key: `${config.functionName}@${version.revision}`,
    functionName: config.functionName,
    versionId: version.versionId,
    family,
    runtime: config.runtime,
    handler: config.handler,
    handlerType: handlerTypeOf(config),
    container: containerOf(version),
    server: family === 'custom' || family === 'action' ? serverOf(version) : undefined,
    hot: hot === undefined ? undefined : { command: commandOf(version), format: hot.format },
    initializer: config.instanceLifecycleConfig.initializer,
    hooks: {
      preFreeze: config.instanceLifecycleConfig.preFreeze,
      preStop: config.instanceLifecycleConfig.preStop,
      postThaw: config.instanceLifecycleConfig.postThaw,
    },
    freezeAfterMs: freezeAfterMs(config),
    recordsInputs: config.environmentVariables[RECORD_INPUTS_VARIABLE] === 'on',
    instancesMax: hot?.maxConcurrency,
    idleMsMax: hot === undefined ? idleMsMaxOf(config) : hot.idleTimeout * 1000,
    sessionAffinity: sessionAffinityOf(config),
    timeoutMs: config.timeout * 1000,
    memoryMb: config.memorySize,
    cpu: config.cpu,
    diskMb: config.diskSize,
    // A hot function takes one request at a time, which its protocol leaves no way around.
    instanceConcurrency: hot === undefined ? config.instanceConcurrency : 1,
    environment: environmentOf(version, place),
    internetAccess: config.internetAccess,
    ...directories,
    codeChecksum: version.code.checksum,
    logProject: logFieldOf(config, 'project'),
    logStore: logFieldOf(config, 'logstore'),
  };
}

/**
 * FC's own variables over the user's. Aliases share the instances of the version they lead to, so the qualifier here
 * is the version; the one that a request named travels with the request. `FC_INSTANCE_ID` is added per instance.
 */
function environmentOf(version: FunctionVersion, place: AccountPlace): Readonly<Record<string, string>> {
  const { config, versionId } = version;
  const { initializer } = config.instanceLifecycleConfig;
  return {
    ...config.environmentVariables,
    FC_FUNC_CODE_PATH: '/code/',
    FC_FUNCTION_NAME: config.functionName,
    FC_FUNCTION_HANDLER: config.handler,
    FC_FUNCTION_MEMORY_SIZE: String(config.memorySize),
    FC_REGION: place.region,
    FC_ACCOUNT_ID: place.accountId,
    FC_QUALIFIER: versionId,
    FC_RUNTIME: config.runtime,
    FC_TIMEOUT: String(config.timeout),
    ...(initializer === undefined
      ? {}
      : {
          FC_INITIALIZER_HANDLER: initializer.handler,
          FC_INITIALIZATION_TIMEOUT: String(initializer.timeout),
        }),
  };
}

/** Without a command of its own a `custom` or `hot` function is what its package calls `bootstrap`. */
const BOOTSTRAP = '/code/bootstrap';
const SERVER_PORT_DEFAULT = 9000;

/** An image may hold any kind; its function's configuration says which. */
function familyOf(config: FunctionConfig): RuntimeFamily {
  if (config.runtime !== CONTAINER_RUNTIME) return runtimeFamily(config.runtime);
  if (config.hotConfig !== undefined) return 'hot';
  return config.customContainerConfig?.actionContainer === true ? 'action' : 'custom';
}

function commandOf({ config, image }: FunctionVersion): [string, ...string[]] {
  const { customContainerConfig, customRuntimeConfig } = config;
  if (image !== undefined && customContainerConfig !== undefined)
    return containerCommand(customContainerConfig, image.image.config);
  const { command = [], args = [] } = customRuntimeConfig ?? {};
  const [program = BOOTSTRAP, ...rest] = command;
  return [program, ...rest, ...args];
}

const ACTION_PORT_DEFAULT = 8080;

function serverOf(version: FunctionVersion): ServerConfig {
  const { config } = version;
  const { customContainerConfig } = config;
  if (customContainerConfig !== undefined) {
    const isAction = customContainerConfig.actionContainer === true;
    return {
      command: commandOf(version),
      port: customContainerConfig.port ?? (isAction ? ACTION_PORT_DEFAULT : SERVER_PORT_DEFAULT),
      healthCheck: customContainerConfig.healthCheckConfig,
      mayPoll: false,
    };
  }
  const { port, healthCheckConfig } = config.customRuntimeConfig ?? {};
  return {
    command: commandOf(version),
    port: port ?? SERVER_PORT_DEFAULT,
    healthCheck: healthCheckConfig,
    mayPoll: port === undefined,
  };
}

/** IronFunctions' defaults. */
const HOT_DEFAULTS: HotFunctionConfig = { format: 'http', maxConcurrency: 1, idleTimeout: 30 };

function handlerTypeOf(config: FunctionConfig): RunnableVersion['handlerType'] {
  const asked = config.environmentVariables['THAW_HANDLER_TYPE'];
  return asked === 'event' || asked === 'http' ? asked : 'auto';
}

function logFieldOf(config: FunctionConfig, name: 'project' | 'logstore'): string {
  const logConfig = config.passthrough['logConfig'];
  if (typeof logConfig !== 'object' || logConfig === null) return '';
  const value: unknown = Reflect.get(logConfig, name);
  return typeof value === 'string' ? value : '';
}

/** An idle instance keeps the CPU this long, so that a steady caller never meets a thaw. */
const FREEZE_AFTER_MS_DEFAULT = 100;

function freezeAfterMs(config: FunctionConfig): number | undefined {
  const wanted = config.environmentVariables[FREEZE_AFTER_VARIABLE];
  if (wanted === 'never') return undefined;
  return wanted === undefined ? FREEZE_AFTER_MS_DEFAULT : Number(wanted);
}
