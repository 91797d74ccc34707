import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import { archive, compile, compileShim, fetchInterfaces, findJdks, startCommand } from './toolchain.ts';

/** Those with long support; what user code may rely on starts with the oldest. */
const MAJORS = [17, 21, 25];
const SUITE_MS_MAX = 180_000;
const VECTORS = join(import.meta.dirname, '..', 'conformance', 'frames.json');

const run = promisify(execFile);
const jdks = findJdks();
const [oldest] = jdks;
const directory = await mkdtemp(join(tmpdir(), 'thaw-java-shim-'));
after(() => rm(directory, { recursive: true, force: true }));
const shim = oldest === undefined ? undefined : await compileShim(oldest, directory);
const interfaces = oldest === undefined ? undefined : await fetchInterfaces(directory);

for (const major of new Set([...MAJORS, ...jdks.map((jdk) => jdk.major)])) {
  const jdk = jdks.find((one) => one.major === major);
  const missing =
    (jdk === undefined && 'this machine lacks it') ||
    (interfaces === undefined && 'the published interfaces cannot be fetched');

  test(
    `the Java shim passes its own suite on ${major}`,
    { skip: missing, timeout: SUITE_MS_MAX },
    async () => {
      assert(jdk !== undefined && shim !== undefined && interfaces !== undefined);
      const classes = join(directory, `tests-${major}`);
      const classPath = [shim, interfaces].join(delimiter);
      await compile(jdk, join(import.meta.dirname, 'tests'), classes, ['-cp', classPath]);
      const args = ['-cp', [shim, classes, interfaces].join(delimiter), 'thaw.shim.ShimTest', VECTORS];
      const { stdout } = await run(join(jdk.home, 'bin', 'java'), args);
      assert.equal(stdout, 'all claims hold\n');
    },
  );

  test(
    `the Java shim trains an archive that a start accepts on ${major}`,
    { skip: jdk === undefined && 'this machine lacks it', timeout: SUITE_MS_MAX },
    async () => {
      assert(jdk !== undefined && shim !== undefined);
      const path = await archive(jdk, shim, directory);
      assert.ok(!existsSync(join(directory, `java${major}.sock`)));
      // The code is a directory, as that of functions is.
      const start = { shim, codePath: directory, layerPath: '/nonexistent', memoryMb: 128, archive: path };
      const [java = '', ...args] = startCommand(jdk, start);
      const strict = major >= 25 ? '-XX:AOTMode=on' : '-Xshare:on';
      const link = join(directory, 'no-link');
      const failure: unknown = await run(java, [strict, ...args, link]).catch((error: unknown) => error);
      assert.match(String(failure), /thaw: no connection to /);
    },
  );
  test(
    `the flags of older runtimes are accepted on ${major}`,
    { skip: jdk === undefined && 'this machine lacks it', timeout: SUITE_MS_MAX },
    async () => {
      assert(jdk !== undefined && shim !== undefined);
      const start = { shim, codePath: directory, layerPath: '/nonexistent', memoryMb: 128, runtime: 'java8' };
      const [java = '', ...args] = startCommand(jdk, start);
      const link = join(directory, 'no-link');
      const failure: unknown = await run(java, [...args, link]).catch((error: unknown) => error);
      assert.match(String(failure), /^Error: Command failed: .*\nthaw: no connection to /);
    },
  );
}
