import { z } from 'zod';

/**
 * The properties of the Serverless Devs component `fc3`. Unknown ones are refused, because a misspelled name would
 * silently deploy something else. Where the cloud's component accepts `auto` (make me a role, a log store, a network)
 * there is nothing to make here.
 */

/** Variables from the environment are text even where a number is meant. */
const number = z.preprocess(
  (value) => (typeof value === 'string' && /^-?\d+(\.\d+)?$/.test(value) ? Number(value) : value),
  z.number(),
);
const integer = number.pipe(z.int());
const flag = z.preprocess(
  (value) => (value === 'true' ? true : value === 'false' ? false : value),
  z.boolean(),
);
/** A number or a boolean in an environment variable is written by people who mean its text. */
const text = z.preprocess(
  (value) => (typeof value === 'number' || typeof value === 'boolean' ? String(value) : value),
  z.string(),
);
const name = z
  .string()
  .regex(
    /^[A-Za-z_][A-Za-z0-9_-]{0,63}$/,
    'must be 1 to 64 letters, digits, _ or -, not starting with a digit or -',
  );
const anyObject = z.record(z.string(), z.unknown());
const autoOr = <T extends z.ZodType>(schema: T) => z.union([z.literal('auto'), schema]);

const hook = z.strictObject({
  handler: z.string().optional(),
  command: z.array(z.string()).optional(),
  timeout: integer.optional(),
});

const trigger = z.strictObject({
  triggerName: name,
  triggerType: z.string(),
  triggerConfig: anyObject.default({}),
  qualifier: text.default('LATEST'),
  description: z.string().default(''),
  sourceArn: z.string().optional(),
  invocationRole: z.string().optional(),
});

export const asyncInvokeConfigSchema = z.strictObject({
  qualifier: text.default('LATEST'),
  asyncTask: flag.optional(),
  maxAsyncRetryAttempts: integer.optional(),
  maxAsyncEventAgeInSeconds: integer.optional(),
  destinationConfig: anyObject.optional(),
});

/** What is scheduled or tracked is read by the platform, which says what is wrong with it. */
const provisionConfigSchema = z.strictObject({
  qualifier: text.default('LATEST'),
  target: integer.optional(),
  defaultTarget: integer.optional(),
  scheduledActions: z.array(anyObject).optional(),
  targetTrackingPolicies: z.array(anyObject).optional(),
  alwaysAllocateCPU: flag.optional(),
  alwaysAllocateGPU: flag.optional(),
});

const scalingConfigSchema = z.looseObject({
  qualifier: text.default('LATEST'),
  minInstances: integer.optional(),
  scheduledPolicies: z.array(anyObject).optional(),
  horizontalScalingPolicies: z.array(anyObject).optional(),
});

export const fc3PropsSchema = z.strictObject({
  region: z.string().optional(),
  functionName: name,
  description: z.string().default(''),
  runtime: z.string(),
  handler: z.string().optional(),
  code: z
    .union([
      z.string(),
      z.strictObject({
        src: z.string().optional(),
        ossBucketName: z.string().optional(),
        ossObjectName: z.string().optional(),
      }),
    ])
    .optional(),
  memorySize: integer.default(512),
  cpu: number.optional(),
  diskSize: integer.default(512),
  timeout: integer.default(3),
  instanceConcurrency: integer.default(1),
  environmentVariables: z.record(z.string(), text).default({}),
  layers: z.array(z.string()).default([]),
  internetAccess: flag.default(true),
  instanceLifecycleConfig: z
    .strictObject({
      initializer: hook.optional(),
      preFreeze: hook.optional(),
      preStop: hook.optional(),
      postThaw: hook.optional(),
    })
    .default({}),
  tags: z.array(z.strictObject({ key: z.string(), value: text.default('') })).optional(),

  // Kept and given back by the platform.
  role: z.string().optional(),
  logConfig: autoOr(anyObject).optional(),
  vpcConfig: autoOr(anyObject).optional(),
  nasConfig: autoOr(anyObject).optional(),
  ossMountConfig: autoOr(anyObject).optional(),
  tracingConfig: autoOr(anyObject).optional(),
  gpuConfig: anyObject.optional(),
  customDNS: anyObject.optional(),
  customRuntimeConfig: anyObject.optional(),
  hotConfig: anyObject.optional(),
  customContainerConfig: anyObject.optional(),
  instanceIsolationMode: z.string().optional(),
  sessionAffinity: z.string().optional(),
  sessionAffinityConfig: z.string().optional(),
  idleTimeout: integer.optional(),
  disableOndemand: flag.optional(),
  resourceGroupId: z.string().optional(),

  // Resources of their own beside the function.
  triggers: z.array(trigger).default([]),
  asyncInvokeConfig: asyncInvokeConfigSchema.optional(),
  concurrencyConfig: z.strictObject({ reservedConcurrency: integer }).optional(),
  provisionConfig: provisionConfigSchema.optional(),
  scalingConfig: scalingConfigSchema.optional(),

  // The cloud's own; named here so that a file that has them is still read.
  customDomain: z.unknown().optional(),
  vpcBinding: z.unknown().optional(),
  endpoint: z.unknown().optional(),
  invocationRestriction: z.unknown().optional(),
});

export type Fc3Props = z.infer<typeof fc3PropsSchema>;
export type TriggerProps = Fc3Props['triggers'][number];

/** Properties that are read and have no effect here, so that `deploy` can say so. */
export const UNAPPLIED_PROPS = [
  'customDomain',
  'vpcBinding',
  'invocationRestriction',
] as const satisfies readonly (keyof Fc3Props)[];

/** Properties sent to the platform under their own names. */
export const CONFIG_PROPS = [
  'description',
  'runtime',
  'handler',
  'memorySize',
  'cpu',
  'diskSize',
  'timeout',
  'instanceConcurrency',
  'environmentVariables',
  'layers',
  'internetAccess',
  'instanceLifecycleConfig',
  'role',
  'logConfig',
  'vpcConfig',
  'nasConfig',
  'ossMountConfig',
  'tracingConfig',
  'gpuConfig',
  'customDNS',
  'customRuntimeConfig',
  'hotConfig',
  'customContainerConfig',
  'instanceIsolationMode',
  'sessionAffinity',
  'sessionAffinityConfig',
  'idleTimeout',
  'disableOndemand',
  'resourceGroupId',
] as const satisfies readonly (keyof Fc3Props)[];
