import { closeSync, constants, fstatSync, lstatSync, openSync, readSync } from 'node:fs';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { RootFileSystem } from '../image/image-mounter.ts';
import { resolveInside } from '../image/resolve-inside.ts';
import type { ContainerConfig, RunnableVersion } from '../model/runnable.ts';
import type { SandboxRoot, SandboxSpec } from '../sandbox/sandbox.ts';
import { findImageUser } from './image-user.ts';

const PROCESSES_MAX = 1024;
const SYSTEM_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
/** User files of images; larger ones are not read. */
const FILE_BYTES_MAX = 1024 * 1024;

/** What to start of an image: its files, user, directory and variables, and over the variables the function's own. */
export function containerSpec(
  runnable: RunnableVersion,
  container: ContainerConfig,
  rootFileSystem: RootFileSystem,
  setting: { readonly instanceId: string; readonly outputSocket: string },
  command: readonly [string, ...string[]],
): SandboxSpec {
  const { config } = container.image;
  const user = findImageUser(config.user, (path) => fileOfImage(rootFileSystem.path, path));
  const workingDirectory = absolute(config.workingDirectory);
  const { FC_FUNC_CODE_PATH: _none, ...variables } = runnable.environment;
  return {
    id: setting.instanceId,
    command,
    environment: {
      PATH: SYSTEM_PATH,
      HOME: user.home,
      ...config.environment,
      ...variables,
      FC_INSTANCE_ID: setting.instanceId,
    },
    workingDirectory,
    mounts: [],
    root: rootOf(rootFileSystem.path, runnable, user, workingDirectory),
    ...(container.isolation === 'default' ? {} : { runtime: container.isolation }),
    memoryBytesMax: runnable.memoryMb * 1024 * 1024,
    cpu: runnable.cpu,
    cpuShare: runnable.memoryMb,
    processesMax: PROCESSES_MAX,
    temporaryBytesMax: runnable.diskMb * 1024 * 1024,
    network: runnable.internetAccess ? 'private' : 'none',
    outputSocket: setting.outputSocket,
  };
}

function rootOf(
  lower: string,
  { diskMb }: RunnableVersion,
  { uid, gid, groups }: SandboxRoot['user'],
  workingDirectory: string,
): SandboxRoot {
  const place = resolveInside(lower, workingDirectory);
  if (place !== undefined && !lstatSync(place).isDirectory())
    throw new ThawError('INVALID_IMAGE', `the image's working directory ${workingDirectory} is no directory`);
  return {
    lower,
    writableBytesMax: diskMb * 1024 * 1024,
    user: { uid, gid, groups },
    // As Docker does: an image need not have made the directory that it names.
    missingDirectory: place === undefined ? workingDirectory : undefined,
  };
}

function absolute(directory: string): string {
  const path = directory.startsWith('/') ? directory : `/${directory}`;
  if (path.split('/').includes('..') || path.includes('\0'))
    throw new ThawError(
      'INVALID_IMAGE',
      `the image's working directory ${JSON.stringify(directory)} is none`,
    );
  return path;
}

/** A small file as a program in the image would find it; undefined where there is none. */
function fileOfImage(root: string, path: string): string | undefined {
  const place = resolveInside(root, path);
  if (place === undefined) return undefined;
  // A lower layer holds no pipes, but a mounted one might show what would never end.
  const file = openSync(place, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const stats = fstatSync(file);
    if (!stats.isFile()) return undefined;
    const bytes = Buffer.alloc(Math.min(stats.size, FILE_BYTES_MAX));
    return bytes.toString('utf8', 0, readSync(file, bytes, 0, bytes.length, 0));
  } finally {
    closeSync(file);
  }
}
