import { loadFfi, openCheck } from './load-ffi.ts';

/** As in Linux's `sched.h` and `mount.h`, on every architecture. */
const CLONE_NEWNS = 0x20000;
const MS_READ_ONLY = 1n;
const MS_NO_SET_USER_ID = 2n;
const MS_NO_DEVICES = 4n;
const MS_REMOUNT = 32n;
const MS_BIND = 4096n;
const MS_RECURSIVE = 16_384n;
const MS_PRIVATE = 1n << 18n;
const MS_SLAVE = 1n << 19n;
const MS_SHARED = 1n << 20n;
const DETACH = 2;

/**
 * The system calls behind `mount`, made from this process: the program costs a fork and an exec each time, some 2 ms in the
 * way of a cold start, where a call takes 25 microseconds. Each throws with what it was doing.
 */
export interface MountCalls {
  /**
   * From now on this thread, and every process that it forks, has mounts of its own: what is mounted here is seen by nobody
   * else and vanishes with the last of them. What the host mounts later still comes in.
   */
  leaveHost(): void;
  bind(source: string, target: string): void;
  /** A bound directory that others are bound from: they are read-only too, for good. */
  makeReadOnly(target: string): void;
  memory(target: string, options: string): void;
  resizeMemory(target: string, bytes: number): void;
  /** What is mounted below appears in its copies, too. */
  share(target: string): void;
  /** The end of `share`; what has appeared in copies stays there. */
  unshare(target: string): void;
  /** With all that is mounted below, also while it is in use. */
  detach(target: string): void;
}

/** Throws where Node cannot call the C library. */
export function openMountCalls(): MountCalls {
  const ffi = loadFfi();
  const { functions: c } = ffi.dlopen(null, {
    mount: { arguments: ['string', 'string', 'string', 'uint64', 'string'], return: 'int32' },
    umount2: { arguments: ['string', 'int32'], return: 'int32' },
    unshare: { arguments: ['int32'], return: 'int32' },
  });
  const check = openCheck(ffi);
  const mount = (source: string, target: string, type: string, flags: bigint, data: string): void => {
    check(c.mount(source, target, type, flags, data), `mounting at ${target}`);
  };
  const noTrust = MS_NO_SET_USER_ID | MS_NO_DEVICES;
  return {
    leaveHost: () => {
      check(c.unshare(CLONE_NEWNS), 'making a mount namespace');
      mount('none', '/', '', MS_SLAVE | MS_RECURSIVE, '');
    },
    bind: (source, target) => mount(source, target, '', MS_BIND, ''),
    makeReadOnly: (target) => mount('none', target, '', MS_REMOUNT | MS_BIND | MS_READ_ONLY | noTrust, ''),
    memory: (target, options) => mount('thaw', target, 'tmpfs', noTrust, options),
    resizeMemory: (target, bytes) => mount('thaw', target, 'tmpfs', MS_REMOUNT | noTrust, `size=${bytes}`),
    share: (target) => mount('none', target, '', MS_SHARED, ''),
    unshare: (target) => mount('none', target, '', MS_PRIVATE, ''),
    detach: (target) => check(c.umount2(target, DETACH), `unmounting ${target}`),
  };
}
