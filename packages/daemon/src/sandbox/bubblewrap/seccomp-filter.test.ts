import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seccompFilter } from './seccomp-filter.ts';
import { ARCHITECTURES, type Architecture } from './syscall-numbers.ts';

const ALLOW = 'allow';
const EPERM = 'error 1';
const ENOSYS = 'error 38';

for (const [name, architecture] of Object.entries(ARCHITECTURES)) {
  const decide = (number: number, argument = 0, arch = architecture.auditArch): string =>
    interpret(seccompFilter(architecture), { number, arch, argument });
  const syscall = (call: string): number => requireNumber(architecture, call);

  test(`${name}: dangerous calls fail, others pass`, () => {
    for (const call of Object.keys(architecture.syscalls)) {
      if (call === 'clone') continue;
      const isAbsent = call === 'clone3' || call.startsWith('io_uring');
      assert.equal(decide(syscall(call)), isAbsent ? ENOSYS : EPERM, call);
    }
    const listed = new Set(Object.values(architecture.syscalls));
    for (let number = 0; number < 600; number++) {
      if (!listed.has(number)) assert.equal(decide(number), ALLOW, `call ${number}`);
    }
  });

  test(`${name}: clone makes processes and threads but no namespaces`, () => {
    const [threadFlags, newUser, newNet] = [0x3d0f00, 0x10000000, 0x40000000];
    assert.equal(decide(syscall('clone'), threadFlags), ALLOW);
    assert.equal(decide(syscall('clone'), newUser | 17), EPERM);
    assert.equal(decide(syscall('clone'), newNet | 17), EPERM);
  });

  test(`${name}: calls of other architectures do not exist`, () => {
    const i386 = 0x40000003;
    assert.equal(decide(0, 0, i386), ENOSYS);
    if (architecture.foreignBit !== undefined) assert.equal(decide(architecture.foreignBit + 1), ENOSYS);
  });
}

function requireNumber({ syscalls }: Architecture, call: string): number {
  const number = syscalls[call];
  assert.ok(number !== undefined, call);
  return number;
}

/** The instructions of classic BPF that the filter uses, as the kernel runs them. */
function interpret(program: Buffer, data: { number: number; arch: number; argument: number }): string {
  const words = new Map([
    [0, data.number],
    [4, data.arch],
    [16, data.argument],
  ]);
  let accumulator = 0;
  for (let at = 0; at < program.length; at += 8) {
    const operand = program.readUInt32LE(at + 4);
    const jump = (isTrue: boolean): void => {
      at += 8 * program.readUInt8(at + (isTrue ? 2 : 3));
    };
    switch (program.readUInt16LE(at)) {
      case 0x20:
        accumulator = words.get(operand) ?? assert.fail(`load at ${operand}`);
        break;
      case 0x15:
        jump(accumulator === operand);
        break;
      case 0x35:
        jump(accumulator >= operand);
        break;
      case 0x45:
        jump((accumulator & operand) !== 0);
        break;
      case 0x06:
        return operand === 0x7fff0000 ? ALLOW : `error ${operand & 0xffff}`;
      default:
        assert.fail('an unknown instruction');
    }
  }
  return assert.fail('the program ends without an answer');
}
