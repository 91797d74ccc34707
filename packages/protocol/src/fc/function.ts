import { z } from 'zod';
import { LIMITS } from '../limits.ts';
import { codeLocation } from './code.ts';
import { allowed, description, flag, functionName, requiredText, text, wholeNumber } from './fields.ts';
import { customContainerConfig } from './custom-container.ts';
import { customRuntimeConfig } from './custom-runtime.ts';
import { hotConfig } from './hot-config.ts';
import { tags } from './tag.ts';

const MEMORY_STEP_MB = 64;
const CPU_STEP = 0.05;
const CPU_MAX = 16;

const memoryRule = allowed(
  `a multiple of ${MEMORY_STEP_MB} from ${LIMITS.memoryMbMin} to ${LIMITS.memoryMbMax} (MB)`,
);
const memorySize = z
  .number({ error: memoryRule })
  .min(LIMITS.memoryMbMin, { error: memoryRule })
  .max(LIMITS.memoryMbMax, { error: memoryRule })
  .refine((mb) => mb % MEMORY_STEP_MB === 0, { error: memoryRule });

const cpuRule = allowed(`a multiple of ${CPU_STEP} from ${CPU_STEP} to ${CPU_MAX} (cores)`);
/** Rounded to the step: 0.35 has no exact binary form, and clients compute it. */
const cpu = z
  .number({ error: cpuRule })
  .min(CPU_STEP, { error: cpuRule })
  .max(CPU_MAX, { error: cpuRule })
  .refine((cores) => Math.abs(cores / CPU_STEP - Math.round(cores / CPU_STEP)) < 1e-6, { error: cpuRule })
  .transform((cores) => Math.round(cores / CPU_STEP) / Math.round(1 / CPU_STEP));

const diskSize = z.union([z.literal(512), z.literal(10_240)], { error: allowed('512 or 10240 (MB)') });

const handler = requiredText(128);

function hook(timeoutMax: number): z.ZodType<{ handler: string; timeout: number }> {
  return z.object(
    {
      handler: text(128).default(''),
      timeout: wholeNumber(1, timeoutMax, 'seconds').default(LIMITS.initializerTimeoutSDefault),
    },
    { error: allowed('an object with handler and timeout') },
  );
}

const instanceLifecycleConfig = z.object(
  {
    initializer: hook(LIMITS.initializerTimeoutSMax).optional(),
    preFreeze: hook(LIMITS.hookTimeoutSMax).optional(),
    preStop: hook(LIMITS.hookTimeoutSMax).optional(),
    postThaw: hook(LIMITS.hookTimeoutSMax).optional(),
  },
  { error: allowed('an object') },
);

const environmentRule =
  'must hold names of letters, digits and "_" that start with a letter or "_" but not with FC_, and texts as values';
const environmentVariables = z
  .record(
    z
      .string()
      .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, { error: environmentRule })
      .refine((name) => !name.startsWith('FC_'), { error: environmentRule }),
    z.string({ error: allowed('a text') }).refine((value) => !value.includes('\0'), {
      error: 'must not hold a NUL character',
    }),
    { error: environmentRule },
  )
  .refine((variables) => environmentBytes(variables) <= LIMITS.environmentBytesMax, {
    error: `must be at most ${LIMITS.environmentBytesMax} bytes altogether`,
  });

function environmentBytes(variables: Readonly<Record<string, string>>): number {
  const encoder = new TextEncoder();
  let bytes = 0;
  for (const [name, value] of Object.entries(variables)) bytes += encoder.encode(name + value).length;
  return bytes;
}

const layers = z
  .array(requiredText(256), { error: allowed('a list of layer version ARNs') })
  .max(LIMITS.layersPerFunctionMax, { error: `must hold at most ${LIMITS.layersPerFunctionMax} layers` });

const freeForm = z.record(z.string(), z.unknown(), { error: allowed('an object') });

/** Accepted, kept and given back; they do not change how a function runs here. */
const passthroughFields = {
  role: text(256).optional(),
  logConfig: freeForm.optional(),
  vpcConfig: freeForm.optional(),
  nasConfig: freeForm.optional(),
  ossMountConfig: freeForm.optional(),
  polarFsConfig: freeForm.optional(),
  juiceFsConfig: freeForm.optional(),
  tracingConfig: freeForm.optional(),
  gpuConfig: freeForm.optional(),
  customDNS: freeForm.optional(),
  instanceIsolationMode: text(32).optional(),
  sessionAffinity: text(64).optional(),
  sessionAffinityConfig: text(4096).optional(),
  idleTimeout: wholeNumber(0, LIMITS.functionTimeoutSMax, 'seconds').optional(),
  disableOndemand: flag().optional(),
  disableInjectCredentials: text(64).optional(),
  enableLongLiving: flag().optional(),
  resourceGroupId: text(128).optional(),
};

export const PASSTHROUGH_FIELDS = Object.keys(passthroughFields);

const configFields = {
  description: description.optional(),
  /** Which names run here is for the catalog to say: it tells a name that is not known from one that is not run yet. */
  runtime: requiredText(64).optional(),
  handler: handler.optional(),
  memorySize: memorySize.optional(),
  cpu: cpu.optional(),
  diskSize: diskSize.optional(),
  timeout: wholeNumber(1, LIMITS.functionTimeoutSMax, 'seconds').optional(),
  instanceConcurrency: wholeNumber(1, LIMITS.instanceConcurrencyMax, 'requests').optional(),
  environmentVariables: environmentVariables.optional(),
  layers: layers.optional(),
  internetAccess: flag().optional(),
  instanceLifecycleConfig: instanceLifecycleConfig.optional(),
  customRuntimeConfig: customRuntimeConfig.optional(),
  customContainerConfig: customContainerConfig.optional(),
  hotConfig: hotConfig.optional(),
  ...passthroughFields,
};

const body = { error: allowed('a JSON object') };

export const createFunctionInput = z
  .object(
    {
      ...configFields,
      functionName,
      runtime: requiredText(64),
      handler,
      code: codeLocation.optional(),
      tags: tags.optional(),
    },
    body,
  )
  // A function in an image has its code there.
  .refine(({ runtime, code }) => code !== undefined || runtime === 'custom-container', {
    path: ['code'],
    error: 'is required',
  });
export type CreateFunctionInput = z.infer<typeof createFunctionInput>;

export const updateFunctionInput = z.object({ ...configFields, code: codeLocation.optional() }, body);
export type UpdateFunctionInput = z.infer<typeof updateFunctionInput>;

export const disableInvocationInput = z.object(
  { reason: text(256).default(''), abortOngoingRequest: flag().default(false) },
  body,
);
