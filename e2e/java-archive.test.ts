import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, open, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import {
  startPlatform,
  temporaryDirectory,
  type Platform,
  type PlatformOptions,
} from '@thaw/testkit/platform.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { zip } from '@thaw/testkit/zip.ts';
import { compile, findJdks, type Jdk } from '../runtimes/java/toolchain.ts';
import { missingSandbox } from './fixtures/requirements.ts';
import { filesBelow } from './support/files-below.ts';
import { createFunction, invoke, putSetting } from './support/functions.ts';
import { jsonOf, type Answer } from './support/http-call.ts';

/** Compiling the shim and training archives come before. */
const READY_MS_MAX = 240_000;
/** A function that loads fewer has no archive, and so has one with less of libraries. */
const CLASSES = 400;
const LIBRARY_BYTES = 1_200_000;

const LIBRARY = `package many;
${Array.from({ length: CLASSES }, (_, at) => `class C${at} { static final int VALUE = Integer.parseInt("${at}"); }`).join('\n')}
`;
/** Has the virtual machine write where its classes come from, and counts them. */
const MAIN = `package own;
import java.lang.management.ManagementFactory;
import java.nio.file.*;
import java.util.*;
import javax.management.ObjectName;
public class Main {
    static final String TRACE = "/tmp/classes";
    static int loaded = 0;
    static {
        try {
            ManagementFactory.getPlatformMBeanServer().invoke(
                new ObjectName("com.sun.management:type=DiagnosticCommand"), "vmLog",
                new Object[] {new String[] {"output=" + TRACE, "what=class+load=info"}},
                new String[] {String[].class.getName()});
            for (int at = 0; at < ${CLASSES}; at += 1) { Class.forName("many.C" + at); loaded += 1; }
        } catch (Exception error) {
            throw new IllegalStateException(error);
        }
    }
    public Map<String, Object> handle(Map<String, Object> event) throws java.io.IOException {
        long read = Files.readAllLines(Path.of(TRACE)).stream()
            .filter(line -> line.contains(" many.C") && !line.contains("shared objects file")).count();
        return Map.of("loaded", loaded, "read", read);
    }
}`;

/** How many of the library's classes are loaded, and how many of those were read from the library itself. */
const ARCHIVED = { loaded: CLASSES, read: 0 };
const PLAIN = { loaded: CLASSES, read: CLASSES };

const OPTIONS: PlatformOptions = { stems: 0, needs: ['prepare'] };
const jdk = findJdks().at(-1);
const skip = jdk === undefined ? 'this machine has no JDK 17 or newer' : false;

test('the archive of a Java function', { skip }, async (t) => {
  if (jdk === undefined) return;
  const dataDir = await temporaryDirectory(t, 'thaw archive ');
  const platform = await startPlatform(t, { ...OPTIONS, dataDir });
  const missing = await missingSandbox(platform);
  if (missing !== undefined) {
    t.skip(missing);
    return;
  }
  const fields = { runtime: `java${jdk.major}`, handler: 'own.Main::handle', memorySize: 512 };
  await createFunction(platform, 'many', { code: await functionCode(t, jdk), fields });
  const archive = await waitFor('the archive', () => archiveBelow(dataDir), READY_MS_MAX);

  await t.test('is made for the first function of all, and its classes come out of it', async () => {
    assert.deepEqual(jsonOf(await freshAnswer(platform)), ARCHIVED);
  });

  await t.test('is let be where its head is damaged', async () => {
    await damage(archive, 0);
    assert.deepEqual(jsonOf(await freshAnswer(platform)), PLAIN);
  });
  await platform.stop();

  const again = await startPlatform(t, { ...OPTIONS, dataDir });
  await t.test('is made anew at the next start', async () => {
    assert.deepEqual(jsonOf(await freshAnswer(again)), PLAIN);
    assert.match(again.output(), /the prepared code of function 'many' was damaged and is made anew/u);
    await waitFor('a whole archive', () => archiveBelow(dataDir), READY_MS_MAX);
    assert.deepEqual(jsonOf(await freshAnswer(again)), ARCHIVED);
  });

  await t.test('is dropped where a virtual machine dies of it', async () => {
    for (const share of [0.2, 0.4, 0.6]) await damage(archive, share);
    const { status, body } = await freshAnswer(again);
    // What a virtual machine makes of it is its own business; whoever had one that died is told.
    if (status !== 200) {
      assert.match(body.toString(), /before its runtime was up/u);
      assert.match(again.output(), /the prepared code of function 'many' was dropped/u);
    }
    assert.deepEqual(jsonOf(await freshAnswer(again)), PLAIN);
  });
});

async function functionCode(t: TestContext, { home }: Jdk): Promise<Record<string, Buffer>> {
  const directory = await temporaryDirectory(t);
  const classesOf = async (name: string, source: string): Promise<Record<string, Buffer>> => {
    const [sources, classes] = [join(directory, name), join(directory, `${name} classes`)];
    await mkdir(sources);
    await writeFile(join(sources, `${name}.java`), source);
    await compile({ home, major: 0 }, sources, classes, ['--release', '17']);
    return filesBelow(classes);
  };
  const library = { ...(await classesOf('Many', LIBRARY)), 'bulk.bin': randomBytes(LIBRARY_BYTES) };
  return { ...(await classesOf('Main', MAIN)), 'lib/many.jar': await zip(library) };
}

let instances = 0;

/** Of an instance of its own: variables are no part of what an archive is for. */
async function freshAnswer(platform: Platform): Promise<Answer> {
  instances += 1;
  const environmentVariables = { INSTANCE: String(instances) };
  await putSetting(platform, 'many', { environmentVariables });
  return await invoke(platform, 'many', '{}');
}

/** When it is ready. */
async function archiveBelow(dataDir: string): Promise<string | undefined> {
  const directory = join(dataDir, 'prepared');
  const names = await readdir(directory, { recursive: true }).catch(() => []);
  const manifest = names.find((name) => /^[^/]+\/[0-9a-f]+\/manifest\.json$/u.test(name));
  return manifest && join(directory, manifest, '../cache/archive');
}

async function damage(file: string, share: number): Promise<void> {
  const opened = await open(file, 'r+');
  const { size } = await opened.stat();
  const bytes = Buffer.alloc(Math.floor(size / 8), 0xa5);
  await opened.write(bytes, 0, bytes.length, Math.floor(size * share));
  await opened.close();
}
