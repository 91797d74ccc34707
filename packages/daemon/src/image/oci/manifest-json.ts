import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { z } from 'zod';
import type { Descriptor } from '../blob-source.ts';

/** Manifests as they come from outside: OCI image specification 1.1 and Docker's schema 2, which agree in these fields. */

const BLOB_BYTES_MAX = 64 * 1024 ** 3;

const descriptor = z.object({
  mediaType: z.string().max(256).default(''),
  digest: z.string().regex(/^sha256:[0-9a-f]{64}$/u, { error: 'must be a sha256 digest' }),
  size: z.number().int().min(0).max(BLOB_BYTES_MAX),
  annotations: z.record(z.string(), z.string()).optional(),
});
const platform = z.object({ architecture: z.string(), os: z.string(), variant: z.string().optional() });
const index = z.object({ manifests: z.array(descriptor.extend({ platform: platform.optional() })) });
const manifest = z.object({ config: descriptor, layers: z.array(descriptor) });
const texts = z.array(z.string()).nullish();
const config = z.object({
  architecture: z.string().default(''),
  os: z.string().default(''),
  rootfs: z.object({ diff_ids: z.array(z.string().regex(/^sha256:[0-9a-f]{64}$/u)) }),
  config: z
    .object({
      User: z.string().nullish(),
      Env: texts,
      WorkingDir: z.string().nullish(),
      Entrypoint: texts,
      Cmd: texts,
      ExposedPorts: z.record(z.string(), z.unknown()).nullish(),
    })
    .nullish(),
});

export type IndexEntry = Descriptor & { readonly platform?: z.infer<typeof platform> };
export type ConfigDocument = z.infer<typeof config>;

export function parseIndex(bytes: Buffer, what: string): IndexEntry[] {
  return parse(index, bytes, what).manifests.map(({ platform: of, ...rest }) => ({
    ...stored(rest),
    ...(of === undefined ? {} : { platform: of }),
  }));
}

export function parseManifest(bytes: Buffer, what: string): { config: Descriptor; layers: Descriptor[] } {
  const parsed = parse(manifest, bytes, what);
  return { config: stored(parsed.config), layers: parsed.layers.map(stored) };
}

export function parseConfig(bytes: Buffer, what: string): ConfigDocument {
  return parse(config, bytes, what);
}

/** Whether a document is a list of manifests, for those that come without a media type. */
export function isIndex(mediaType: string, bytes: Buffer, what: string): boolean {
  if (/image\.index|manifest\.list/u.test(mediaType)) return true;
  if (/image\.manifest|distribution\.manifest\.v2/u.test(mediaType)) return false;
  return Object.hasOwn(parse(z.record(z.string(), z.unknown()), bytes, what), 'manifests');
}

function stored({ annotations, ...rest }: z.infer<typeof descriptor>): Descriptor {
  return annotations === undefined ? rest : { ...rest, annotations };
}

function parse<T>(schema: z.ZodType<T>, bytes: Buffer, what: string): T {
  let json: unknown;
  try {
    json = JSON.parse(bytes.toString());
  } catch (cause) {
    throw new ThawError('INVALID_IMAGE', `${what} is no JSON`, { cause });
  }
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const where = issue?.path.join('.') ?? '';
  throw new ThawError(
    'INVALID_IMAGE',
    `${what} is not what its kind is: ${where} ${issue?.message ?? ''}`.trim(),
  );
}
