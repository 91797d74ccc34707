import { z } from 'zod';
import { healthCheckSetting, port, words } from './custom-runtime.ts';
import { allowed, flag, oneOf, requiredText, text } from './fields.ts';

const CERTIFICATE_CHARACTERS_MAX = 64 * 1024;
/** Clients send null where nothing is configured. */
const optional = <T extends z.ZodType>(schema: T): z.ZodPreprocess<z.ZodOptional<T>> =>
  z.preprocess((given) => given ?? undefined, schema.optional());

const registryConfig = z.object(
  {
    authConfig: optional(
      z.object(
        { userName: optional(text(256)), password: optional(text(16_384)) },
        { error: allowed('an object') },
      ),
    ),
    certConfig: optional(
      z.object(
        { insecure: optional(flag()), rootCaCertBase64: optional(text(CERTIFICATE_CHARACTERS_MAX)) },
        { error: allowed('an object') },
      ),
    ),
    networkConfig: z.unknown().optional(),
  },
  { error: allowed('an object') },
);

/** The image of a `custom-container` function, and what to run of it. */
export const customContainerConfig = z.object(
  {
    image: requiredText(1024),
    /** Instead of the image's command (`CMD`). */
    command: words.optional(),
    /** Instead of the image's entry point; the image's command then counts no more, as with Docker. */
    entrypoint: words.optional(),
    /** Behind the command. */
    args: words.optional(),
    port: port.optional(),
    healthCheckConfig: healthCheckSetting,
    registryConfig: optional(registryConfig),
    /** Ours: the image is an OpenWhisk-style action (`POST /init`, `POST /run`). */
    actionContainer: flag().optional(),
    acrInstanceId: optional(text(256)),
    /** `Default`: read as needed. `None`: pulled whole before the start. Ours, `Eager`: read as needed, and all of it ahead. */
    accelerationType: optional(oneOf(['Default', 'None', 'Eager'])),
    /** What the platform says; clients send it back. */
    accelerationInfo: z.unknown().optional(),
    resolvedImageUri: z.unknown().optional(),
  },
  { error: allowed('an object with image') },
);
export type CustomContainerInput = z.infer<typeof customContainerConfig>;
