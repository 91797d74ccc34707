import type { Architecture } from './syscall-numbers.ts';

/**
 * The deny list of a sandbox as a classic BPF program, in the bytes that `bwrap --seccomp FD` and
 * `seccomp(SECCOMP_SET_MODE_FILTER)` take. Without capabilities most of these calls fail anyway; the list removes
 * kernel code that has had holes reachable without them (user namespaces, io_uring, bpf, userfaultfd, keyrings).
 *
 * Source of the instruction format: `linux/filter.h` and `linux/seccomp.h`.
 */
export function seccompFilter({ auditArch, syscalls, foreignBit }: Architecture): Buffer {
  const program: Instruction[] = [
    // Calls of another architecture have other numbers, which this list would misread.
    load(OFFSET_ARCHITECTURE),
    jump(JUMP_EQUAL, auditArch, 1, 0),
    answer(RETURN_ERROR | ENOSYS),
    load(OFFSET_NUMBER),
  ];
  if (foreignBit !== undefined) {
    program.push(jump(JUMP_GREATER_OR_EQUAL, foreignBit, 0, 1), answer(RETURN_ERROR | ENOSYS));
  }
  for (const [name, number] of Object.entries(syscalls)) {
    if (name === 'clone') {
      program.push(
        jump(JUMP_EQUAL, number, 0, 4),
        load(OFFSET_FIRST_ARGUMENT),
        jump(JUMP_ANY_BIT, NEW_NAMESPACE_FLAGS, 0, 1),
        answer(RETURN_ERROR | EPERM),
        answer(RETURN_ALLOW),
      );
    } else {
      const error = ABSENT.has(name) ? ENOSYS : EPERM;
      program.push(jump(JUMP_EQUAL, number, 0, 1), answer(RETURN_ERROR | error));
    }
  }
  program.push(answer(RETURN_ALLOW));
  return encode(program);
}

/**
 * These look as if the kernel had none: glibc then falls back from `clone3`, whose flags a filter cannot read, to
 * `clone`, and runtimes fall back from io_uring to ordinary calls.
 */
const ABSENT: ReadonlySet<string> = new Set([
  'clone3',
  'io_uring_setup',
  'io_uring_enter',
  'io_uring_register',
]);

/** CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET of `linux/sched.h`. */
const NEW_NAMESPACE_FLAGS = 0x7e020000;

/** The same list by names, for those who compile it themselves. */
export function deniedCalls({ syscalls }: Architecture): {
  readonly absent: string[];
  readonly forbidden: string[];
  readonly namespaceFlags: number[];
} {
  const names = Object.keys(syscalls).filter((name) => name !== 'clone');
  return {
    absent: names.filter((name) => ABSENT.has(name)),
    forbidden: names.filter((name) => !ABSENT.has(name)),
    namespaceFlags: Array.from({ length: 32 }, (_, bit) => (1 << bit) >>> 0).filter(
      (flag) => (flag & NEW_NAMESPACE_FLAGS) !== 0,
    ),
  };
}

const EPERM = 1;
const ENOSYS = 38;
const RETURN_ALLOW = 0x7fff0000;
const RETURN_ERROR = 0x00050000;
const LOAD_WORD = 0x20;
const JUMP_EQUAL = 0x15;
const JUMP_GREATER_OR_EQUAL = 0x35;
const JUMP_ANY_BIT = 0x45;
const RETURN = 0x06;
/** Offsets in `struct seccomp_data`; both architectures are little-endian, so the low half of an argument is first. */
const OFFSET_NUMBER = 0;
const OFFSET_ARCHITECTURE = 4;
const OFFSET_FIRST_ARGUMENT = 16;

interface Instruction {
  readonly code: number;
  readonly jumpTrue: number;
  readonly jumpFalse: number;
  readonly operand: number;
}

const load = (offset: number): Instruction => ({
  code: LOAD_WORD,
  jumpTrue: 0,
  jumpFalse: 0,
  operand: offset,
});
const answer = (value: number): Instruction => ({ code: RETURN, jumpTrue: 0, jumpFalse: 0, operand: value });
const jump = (code: number, operand: number, jumpTrue: number, jumpFalse: number): Instruction => ({
  code,
  jumpTrue,
  jumpFalse,
  operand,
});

function encode(program: readonly Instruction[]): Buffer {
  const bytes = Buffer.alloc(program.length * 8);
  for (const [index, { code, jumpTrue, jumpFalse, operand }] of program.entries()) {
    bytes.writeUInt16LE(code, index * 8);
    bytes.writeUInt8(jumpTrue, index * 8 + 2);
    bytes.writeUInt8(jumpFalse, index * 8 + 3);
    bytes.writeUInt32LE(operand >>> 0, index * 8 + 4);
  }
  return bytes;
}
