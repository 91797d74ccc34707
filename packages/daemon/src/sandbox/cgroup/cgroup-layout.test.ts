import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cgroupHierarchies } from './cgroup-layout.ts';

test('a version 2 host has one hierarchy', () => {
  const mountinfo = '30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate';
  assert.deepEqual(cgroupHierarchies(mountinfo, '0::/system.slice/thaw.service\n'), [
    {
      version: 2,
      mountPoint: '/sys/fs/cgroup',
      ownDirectory: '/sys/fs/cgroup/system.slice/thaw.service',
      controllers: [],
    },
  ]);
});

test('a hybrid host has one for each controller and one to freeze', () => {
  const mountinfo = [
    '32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct',
    '35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory',
    '37 31 0:34 / /sys/fs/cgroup/freezer rw,relatime - cgroup cgroup rw,freezer',
    '41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw',
  ].join('\n');
  const own = '9:name=systemd:/\n6:freezer:/\n4:memory:/job/a\n2:cpu,cpuacct:/\n0::/\n';
  assert.deepEqual(
    cgroupHierarchies(mountinfo, own).map(({ ownDirectory, controllers }) => [ownDirectory, ...controllers]),
    [
      ['/sys/fs/cgroup/cpu,cpuacct', 'cpu'],
      ['/sys/fs/cgroup/memory/job/a', 'memory'],
      ['/sys/fs/cgroup/unified'],
    ],
  );
});

test('a container sees its part of a hierarchy, with paths from above it', () => {
  const mountinfo = '35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro,relatime - cgroup cgroup rw,memory';
  const directories = (own: string): string[] =>
    cgroupHierarchies(mountinfo, `4:memory:${own}`).map(({ ownDirectory }) => ownDirectory);
  assert.deepEqual(directories('/docker/abc'), ['/sys/fs/cgroup/memory']);
  assert.deepEqual(directories('/docker/abc/inner'), ['/sys/fs/cgroup/memory/inner']);
});
