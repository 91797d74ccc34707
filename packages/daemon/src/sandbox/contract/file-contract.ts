import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { SandboxSpec } from '../sandbox.ts';
import { notFor, type ContractSuite } from './contract-suite.ts';
import { MEGABYTE } from './contract-world.ts';

/** What a sandbox sees, and what it may write (5, 6). */
export function testFiles({ check, at, skip, driver, directory, root }: ContractSuite): void {
  check('5 mounts, working directory and temporary files', { skip }, async () => {
    const source = join(directory, 'code');
    mkdirSync(source, { recursive: true });
    writeFileSync(join(source, 'hello.txt'), 'from the mount');
    if (driver === 'process') {
      const { sandbox, output } = await at().start(['cat', 'hello.txt'], { workingDirectory: source });
      await sandbox.exited;
      assert.equal(await output('stdout'), 'from the mount');
      return;
    }
    const script =
      'cat hello.txt; pwd; touch x 2>/dev/null || echo read-only; echo a >/tmp/a && cat /tmp/a; touch /y /etc/y /dev/y /usr/y 2>/dev/null; ls /y /etc/y /dev/y /usr/y 2>/dev/null; echo $?';
    const { sandbox, output } = await at().start(['sh', '-c', script], {
      workingDirectory: '/deep/in/code',
      mounts: [{ source, target: '/deep/in/code', readOnly: true }],
    });
    await sandbox.exited;
    assert.equal(await output('stdout'), 'from the mount/deep/in/code\nread-only\na\n2\n');
  });

  check(
    '5 a writable mount can be written, below a read-only one',
    { skip: skip || notFor(driver) },
    async () => {
      const shared = join(directory, 'shared');
      mkdirSync(join(directory, 'outer', 'inner'), { recursive: true });
      mkdirSync(shared, { mode: 0o777 });
      chmodSync(shared, 0o777);
      const { sandbox, output } = await at().start(
        ['sh', '-c', 'echo hi > /outer/inner/f && cat /outer/inner/f'],
        {
          mounts: [
            { source: shared, target: '/outer/inner', readOnly: false },
            { source: join(directory, 'outer'), target: '/outer', readOnly: true },
          ],
        },
      );
      await sandbox.exited;
      assert.equal(await output('stdout'), 'hi\n');
      assert.equal(readFileSync(join(shared, 'f'), 'utf8'), 'hi\n');
    },
  );

  check('5 nothing of the host is to be seen', { skip: skip || notFor(driver) }, async () => {
    const script =
      'ls /root /home /work /sys /var/lib 2>/dev/null; ls /proc | grep -c "^[0-9]"; cat /etc/shadow 2>/dev/null; ls -l /proc/self/fd 2>/dev/null | grep -v /fd$ | grep -c " -> "; tr "\\0" " " < /proc/1/cmdline';
    const { sandbox, output } = await at().start(['sh', '-c', script]);
    await sandbox.exited;
    const [processes = '', files = '', commandLine = ''] = (await output('stdout')).split('\n');
    assert.ok(Number(processes) <= 5, `${processes} processes are visible`);
    assert.equal(files.trim(), '3', 'descriptors 0, 1 and 2');
    assert.ok(!commandLine.includes(directory), commandLine);
  });

  check('5 no privilege is left', { skip: skip || notFor(driver) }, async () => {
    const script = `grep -E "^(Cap(Inh|Prm|Eff|Bnd|Amb)|NoNewPrivs|Seccomp):" /proc/self/status; id -un; unshare -U true 2>&1 | head -c 0; unshare -U true 2>/dev/null; echo $?; mount -t tmpfs x /tmp 2>/dev/null; echo $?; echo 1 2>/dev/null > /proc/sys/kernel/sysrq; echo $?`;
    const { sandbox, output } = await at().start(['sh', '-c', script]);
    await sandbox.exited;
    const lines = (await output('stdout')).replaceAll('\t', ' ').split('\n');
    const none = '0000000000000000';
    const bounding = lines.find((line) => line.startsWith('CapBnd'));
    assert.deepEqual(lines.slice(0, 3), [`CapInh: ${none}`, `CapPrm: ${none}`, `CapEff: ${none}`]);
    assert.equal(bounding, `CapBnd: ${none}`);
    assert.deepEqual(lines.slice(4, 8), [`CapAmb: ${none}`, 'NoNewPrivs: 1', 'Seccomp: 2', 'thaw']);
    assert.equal(lines.slice(8, 11).includes('0'), false, lines.join('\n'));
  });

  check('6 the temporary directory is bounded', { skip: skip || notFor(driver) }, async () => {
    const { sandbox, output } = await at().start(
      ['sh', '-c', 'head -c 9000000 /dev/zero > /tmp/big; stat -c %s /tmp/big'],
      {
        temporaryBytesMax: 4 * MEGABYTE,
      },
    );
    await sandbox.exited;
    assert.equal(await output('stdout'), `${4 * MEGABYTE}\n`);
  });

  check(
    '6 what is written over an image is bounded, and is seen by nobody else',
    { skip: skip || (root === undefined ? 'there is no image' : false) },
    async () => {
      assert.ok(root !== undefined);
      const changes: Partial<SandboxSpec> = {
        root: { ...root, writableBytesMax: 4 * MEGABYTE, missingDirectory: '/own' },
        workingDirectory: '/own',
      };
      const script = 'head -c 9000000 /dev/zero > big; [ $(stat -c %s big) -lt 4194305 ] && echo bounded; ls';
      for (let time = 0; time < 2; time++) {
        const { sandbox, output } = await at().start(['sh', '-c', script], changes);
        await sandbox.exited;
        assert.equal(await output('stdout'), 'bounded\nbig\n');
      }
      assert.equal(existsSync(join(root.lower, 'own')), false);
    },
  );
}
