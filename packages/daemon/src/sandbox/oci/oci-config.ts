import { posix } from 'node:path';
import { IMAGE_IDS, IMAGE_IDS_FIRST } from '../../image/image-ids.ts';
import { temporaryBytes } from '../bubblewrap/bubblewrap-arguments.ts';
import { IMAGE_CAPABILITIES } from '../bubblewrap/image-launch.ts';
import { deniedCalls } from '../bubblewrap/seccomp-filter.ts';
import type { Architecture } from '../bubblewrap/syscall-numbers.ts';
import type { SandboxRoot, SandboxSpec } from '../sandbox.ts';

const SHARED_MEMORY_BYTES_MAX = 64 * 1024 * 1024;

export interface OciSetting {
  /** Directory with the root, made when the bundle is read. */
  readonly rootPath: string;
  /** The network namespace to join; undefined: the one that the runtime is started in. */
  readonly networkPath: string | undefined;
  /** Below the runtime's own groups, in every hierarchy. */
  readonly cgroup: string;
  readonly architecture: Architecture;
  readonly makesNetwork: boolean;
  /** Whether groups can bound processes below the sandbox's own group, which the runtime itself is in. */
  readonly limitsProcesses: boolean;
}

/**
 * `config.json` of a bundle (OCI runtime specification 1.0.2). Limits on memory and CPU are not in it: the sandbox's own
 * groups, which the runtime is born in, have them. Ids are mapped as for bubblewrap, so that one unpacked image serves both.
 */
export function ociConfig(
  spec: SandboxSpec,
  { user }: SandboxRoot,
  { rootPath, networkPath, cgroup, architecture, makesNetwork, limitsProcesses }: OciSetting,
): object {
  const capabilities = user.uid === 0 ? IMAGE_CAPABILITIES.map((name) => `CAP_${name.toUpperCase()}`) : [];
  const bounding = IMAGE_CAPABILITIES.map((name) => `CAP_${name.toUpperCase()}`);
  const idMappings = [{ containerID: 0, hostID: IMAGE_IDS_FIRST, size: IMAGE_IDS }];
  const sharedBytes = Math.min(temporaryBytes(spec), SHARED_MEMORY_BYTES_MAX);
  const network = networkPath === undefined ? [] : [{ type: 'network', path: networkPath }];
  const ownNetwork = makesNetwork ? [{ type: 'network' }] : network;
  return {
    ociVersion: '1.0.2',
    process: {
      terminal: false,
      user: { uid: user.uid, gid: user.gid, additionalGids: user.groups },
      args: spec.command,
      env: Object.entries(spec.environment).map(([name, value]) => `${name}=${value}`),
      cwd: posix.normalize(spec.workingDirectory),
      noNewPrivileges: true,
      capabilities: {
        bounding,
        effective: capabilities,
        permitted: capabilities,
        inheritable: [],
        ambient: [],
      },
    },
    root: { path: rootPath, readonly: false },
    hostname: 'thaw',
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'nodev', 'noexec'] },
      tmpfs('/dev', 'mode=755', 64 * 1024),
      {
        destination: '/dev/pts',
        type: 'devpts',
        source: 'devpts',
        options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620'],
      },
      tmpfs('/dev/shm', 'mode=1777', sharedBytes),
      tmpfs('/tmp', 'mode=1777', temporaryBytes(spec)),
    ],
    linux: {
      uidMappings: idMappings,
      gidMappings: idMappings,
      namespaces: [
        ...['pid', 'ipc', 'uts', 'mount', 'user', 'cgroup'].map((type) => ({ type })),
        ...ownNetwork,
      ],
      cgroupsPath: cgroup,
      resources: limitsProcesses ? { pids: { limit: spec.processesMax } } : {},
      seccomp: seccompOf(architecture),
      maskedPaths: [
        '/proc/kcore',
        '/proc/keys',
        '/proc/latency_stats',
        '/proc/timer_list',
        '/proc/sched_debug',
        '/proc/scsi',
        '/proc/acpi',
        '/sys/firmware',
      ],
      readonlyPaths: ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'],
    },
  };
}

function tmpfs(destination: string, mode: string, bytes: number): object {
  return { destination, type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'nodev', mode, `size=${bytes}`] };
}

/** The deny list of every sandbox, in the words of the specification. */
function seccompOf(architecture: Architecture): object {
  const { absent, forbidden, namespaceFlags } = deniedCalls(architecture);
  const deny = (names: readonly string[], errnoRet: number, args: object[] = []): object => ({
    names,
    action: 'SCMP_ACT_ERRNO',
    errnoRet,
    args,
  });
  return {
    defaultAction: 'SCMP_ACT_ALLOW',
    syscalls: [
      deny(absent, 38),
      deny(forbidden, 1),
      ...namespaceFlags.map((flag) =>
        deny(['clone'], 1, [{ index: 0, value: flag, valueTwo: flag, op: 'SCMP_CMP_MASKED_EQ' }]),
      ),
    ],
  };
}
