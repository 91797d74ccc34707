import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { mountPath } from '../../base/mount-path.ts';

const OUTPUT_CHARACTERS_MAX = 2000;
const MOUNT_MS_MAX = 60_000;

/** Runs a program for mounts; descriptors follow behind standard error, from 3 up. Throws STORE_FAILED. */
export function runMount(
  command: 'mount' | 'umount' | 'losetup',
  args: readonly string[],
  descriptors: readonly number[] = [],
): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (why: string): void => {
      reject(new ThawError('STORE_FAILED', `${command} ${args.join(' ')}: ${why}`));
    };
    const child = spawn(command, args, {
      stdio: ['ignore', 'ignore', 'pipe', ...descriptors],
      env: { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` },
      timeout: MOUNT_MS_MAX,
    });
    let output = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(0, OUTPUT_CHARACTERS_MAX);
    });
    child.once('error', (error) => fail(error.message));
    child.once('close', (code, signal) => {
      if (code === 0) resolve();
      else fail(`${signal ?? code}: ${output.trim()}`);
    });
  });
}

export interface MountPoint {
  readonly path: string;
  readonly type: string;
  readonly source: string;
  /** As the kernel numbers it, `major:minor`. */
  readonly device: string;
  /** Minor number of the device: for FUSE, the number of the connection. */
  readonly minor: number;
}

/** What is mounted at or below a directory, in the order of mounting. */
export function mountsBelow(directory: string): MountPoint[] {
  const found: MountPoint[] = [];
  for (const line of readFileSync('/proc/self/mountinfo', 'utf8').split('\n')) {
    const fields = line.split(' ');
    const path = mountPath(fields[4] ?? '');
    if (path !== directory && !path.startsWith(`${directory}/`)) continue;
    const device = fields[2] ?? '';
    const minor = Number(device.split(':')[1]);
    const [type = '', source = ''] = fields.slice(fields.indexOf('-') + 1);
    found.push({ path, type, source: mountPath(source), device, minor });
  }
  return found;
}

/** How much the kernel reads around what is asked for of a mount. Throws where it may not be said. */
export function setReadAhead(mountPoint: string, bytes: number): void {
  writeFileSync(`/sys/class/bdi/${mountAt(mountPoint).device}/read_ahead_kb`, String(bytes / 1024));
}

/** The loop device that a mount is on, if it is on one. */
export function loopDeviceOf(mountPoint: string): string | undefined {
  const { source } = mountAt(mountPoint);
  return /^\/dev\/loop\d+$/u.test(source) ? source : undefined;
}

/**
 * Has the loop device of a mount, if there is one, ask for several things at once. Otherwise it asks for one after the
 * other for all processes of one cgroup, and what is here already waits behind what is not. Throws STORE_FAILED.
 */
export async function setDirectIo(mountPoint: string): Promise<void> {
  const device = loopDeviceOf(mountPoint);
  if (device !== undefined) await runMount('losetup', ['--direct-io=on', device]);
}

function mountAt(mountPoint: string): MountPoint {
  const mount = mountsBelow(mountPoint).findLast(({ path }) => path === mountPoint);
  if (mount === undefined) throw new ThawError('STORE_FAILED', `nothing is mounted at ${mountPoint}`);
  return mount;
}

/** Whether what is mounted there later is seen in namespaces that were copied from this one. */
export function isShared(path: string): boolean {
  let longest = '';
  let isLongestShared = false;
  for (const line of readFileSync('/proc/self/mountinfo', 'utf8').split('\n')) {
    const fields = line.split(' ');
    const point = mountPath(fields[4] ?? '');
    const holds = point === '/' || path === point || path.startsWith(`${point}/`);
    // Of several at one place the last one counts.
    if (!holds || point.length < longest.length) continue;
    longest = point;
    isLongestShared = fields.slice(6, fields.indexOf('-')).some((field) => field.startsWith('shared:'));
  }
  return isLongestShared;
}

/** Takes away whatever is mounted below a directory, without waiting for who still uses it. */
export async function unmountBelow(directory: string, which: 'inside' | 'itself' = 'itself'): Promise<void> {
  for (const { path } of mountsBelow(directory).toReversed()) {
    if (which === 'inside' && path === directory) continue;
    await runMount('umount', ['-l', path]).catch(() => undefined);
  }
}
