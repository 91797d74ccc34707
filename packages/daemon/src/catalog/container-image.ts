import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { accelerationOf } from '../image/acceleration.ts';
import type {
  CodeRef,
  CustomContainerConfig,
  FunctionConfig,
  FunctionVersion,
  ResolvedImage,
} from '../model/function.ts';
import type { ImageConfig } from '../model/image.ts';
import type { ContainerConfig, ContainerIsolation } from '../model/runnable.ts';
import { takeIn, type CodePackages, type NewCode } from './code-intake.ts';

/** What the catalog needs of the store of images. */
export interface CatalogImages {
  /** What the image's name means now. Throws as `readImage` does. */
  resolve(config: CustomContainerConfig): Promise<ResolvedImage>;
  /** Begins to bring the image here, so that the first instance finds it. Never throws. */
  prepare(image: ResolvedImage, config: CustomContainerConfig): void;
}

export const CONTAINER_RUNTIME = 'custom-container';
/** The user's variable that names what runs the container. */
export const ISOLATION_VARIABLE = 'THAW_ISOLATION';
const ISOLATIONS: readonly ContainerIsolation[] = ['default', 'runc', 'runsc'];
/** An archive without entries: what a function runs from that has an image instead of code. */
const EMPTY_ZIP = Buffer.from('504b0506000000000000000000000000000000000000', 'hex');

/** The code of a function: what came with the request, or for one in an image a package with nothing in it. */
export async function takeCode(
  packages: CodePackages,
  runtime: string,
  code: NewCode | undefined,
): Promise<CodeRef> {
  if (runtime !== CONTAINER_RUNTIME) {
    if (code === undefined) throw invalid('code', 'code is required');
    return await takeIn(packages, code);
  }
  if (code !== undefined) throw invalid('code', `code must not be given with runtime ${CONTAINER_RUNTIME}`);
  return await takeIn(packages, { zip: EMPTY_ZIP, bytesMax: EMPTY_ZIP.length });
}

/** The image of a version to be; undefined for functions of other runtimes. */
export async function resolveImage(
  images: CatalogImages | undefined,
  { runtime, customContainerConfig }: FunctionConfig,
): Promise<ResolvedImage | undefined> {
  if (runtime !== CONTAINER_RUNTIME || customContainerConfig === undefined) return undefined;
  if (images === undefined)
    throw new ThawError(
      'UNSUPPORTED_RUNTIME',
      `this platform has no store of images for runtime '${runtime}'`,
    );
  const resolved = await images.resolve(customContainerConfig);
  containerCommand(customContainerConfig, resolved.image.config);
  return resolved;
}

/** Throws INVALID_ARGUMENT for what does not go together. */
export function requireContainerConfig(config: FunctionConfig): void {
  const { runtime, customContainerConfig, environmentVariables } = config;
  if (runtime !== CONTAINER_RUNTIME) return;
  if (customContainerConfig === undefined)
    throw invalid(
      'customContainerConfig',
      `customContainerConfig is required with runtime ${CONTAINER_RUNTIME}`,
    );
  if (config.layers.length > 0)
    throw invalid(
      'layers',
      `layers must not be given with runtime ${CONTAINER_RUNTIME}: an image has its own`,
    );
  if (customContainerConfig.actionContainer === true && config.hotConfig !== undefined)
    throw invalid('hotConfig', 'hotConfig and customContainerConfig.actionContainer exclude each other');
  const isolation = environmentVariables[ISOLATION_VARIABLE];
  if (isolation !== undefined && !ISOLATIONS.some((known) => known === isolation)) {
    const field = `environmentVariables.${ISOLATION_VARIABLE}`;
    throw invalid(field, `${field} must be one of ${ISOLATIONS.join(', ')}`);
  }
}

/** Entry point and command, each the function's before the image's. Throws INVALID_IMAGE when both say nothing. */
export function containerCommand(
  { entrypoint, command, args }: CustomContainerConfig,
  image: ImageConfig,
): [string, ...string[]] {
  const hasOwnEntrypoint = entrypoint !== undefined && entrypoint.length > 0;
  const hasOwnCommand = command !== undefined && command.length > 0;
  const [program, ...rest] = [
    ...(hasOwnEntrypoint ? entrypoint : image.entrypoint),
    // A command that was written for another entry point is none for this one.
    ...(hasOwnCommand ? command : hasOwnEntrypoint ? [] : image.command),
    ...(args ?? []),
  ];
  if (program === undefined || program === '')
    throw new ThawError('INVALID_IMAGE', 'neither the image nor customContainerConfig says what to run');
  return [program, ...rest];
}

/** What an instance of the version runs from; undefined for versions without an image. */
export function containerOf({ config, image }: FunctionVersion): ContainerConfig | undefined {
  if (image === undefined) return undefined;
  const asked = config.environmentVariables[ISOLATION_VARIABLE];
  return {
    ...image,
    registry: config.customContainerConfig?.registryConfig ?? {},
    isolation: ISOLATIONS.find((known) => known === asked) ?? 'default',
    acceleration: accelerationOf(config.customContainerConfig ?? {}),
  };
}

function invalid(field: string, message: string): ThawError {
  return new ThawError('INVALID_ARGUMENT', message, { details: { field } });
}
