import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { ImageFacts } from '../image/image-facts.ts';
import type { MountedImage } from '../image/image-mounter.ts';
import type { ContainerConfig, RunnableVersion } from '../model/runnable.ts';
import type { SandboxRoot, SandboxSpec } from '../sandbox/sandbox.ts';
import { findImageUser } from './image-user.ts';

const PROCESSES_MAX = 1024;
const SYSTEM_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** What to start of an image: its files, user, directory and variables, and over the variables the function's own. */
export function containerSpec(
  runnable: RunnableVersion,
  container: ContainerConfig,
  { path, facts }: MountedImage,
  setting: { readonly instanceId: string; readonly outputSocket: string },
  command: readonly [string, ...string[]],
): SandboxSpec {
  const { config } = container.image;
  const user = findImageUser(config.user, (file) => (file === '/etc/passwd' ? facts.passwd : facts.group));
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
    root: rootOf(path, facts, runnable, user, workingDirectory),
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
  facts: ImageFacts,
  { diskMb }: RunnableVersion,
  { uid, gid, groups }: SandboxRoot['user'],
  workingDirectory: string,
): SandboxRoot {
  if (facts.workingDirectory === 'other')
    throw new ThawError('INVALID_IMAGE', `the image's working directory ${workingDirectory} is no directory`);
  return {
    lower,
    writableBytesMax: diskMb * 1024 * 1024,
    user: { uid, gid, groups },
    // As Docker does: an image need not have made the directory that it names.
    missingDirectory: facts.workingDirectory === 'missing' ? workingDirectory : undefined,
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
