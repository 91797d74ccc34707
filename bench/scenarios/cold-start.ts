import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { compile, fetchInterfaces, findJdks } from '../../runtimes/java/toolchain.ts';
import { PROGRAMS } from '../contestants/contestant.ts';
import { firstAnswerMs } from '../contestants/first-answer.ts';
import { interpreterOf, plainBubblewrap, plainRunc, type Sandbox } from '../contestants/sandboxed-program.ts';
import type { BenchContext } from '../context.ts';
import { coldStart, rest, type ColdStart } from '../machine/cold-start.ts';
import type { Thaw } from '../machine/thaw.ts';
import type { Measurement, Scenario, Verdict } from '../scenario.ts';
import { median } from '../statistics.ts';

const FIRST_REST_MS = 10_000;

interface Language {
  readonly name: string;
  readonly runtime: string;
  readonly handler: string;
  /** In the sandbox of a peer: arguments of the interpreter that call the handler once. */
  readonly once: readonly string[];
  readonly boundMs: number;
  files(context: BenchContext): Promise<Readonly<Record<string, Buffer>> | string>;
}

const LANGUAGES: readonly Language[] = [
  {
    name: 'Node',
    runtime: 'nodejs26',
    handler: 'index.handler',
    once: ['/code/once.js'],
    boundMs: 15,
    files: async () => ({
      'index.js': await readFile(join(PROGRAMS, 'handler.js')),
      'once.js': await readFile(join(PROGRAMS, 'once.js')),
    }),
  },
  {
    name: 'Python',
    runtime: 'python3',
    handler: 'index.handler',
    once: ['/code/once.py'],
    boundMs: 12,
    files: async () => ({
      'index.py': await readFile(join(PROGRAMS, 'handler.py')),
      'once.py': await readFile(join(PROGRAMS, 'once.py')),
    }),
  },
  {
    name: 'Java',
    runtime: 'java17',
    handler: 'Hello::handleRequest',
    once: ['-Xshare:auto', '-XX:TieredStopAtLevel=1', '-cp', '/code:/code/lib/*', 'Hello'],
    boundMs: 150,
    files: javaFiles,
  },
];

export const scenario: Scenario = {
  name: 'cold-start',
  title: 'Cold start, sandboxed',
  shows:
    'The first answer of a function that was never run before, seen by its caller, 100 functions of each language one ' +
    'after the other with a short rest between them, split into the phases that the answers tell; as the ' +
    'platform is by default (a booted runtime that has loaded the code ahead), with booted runtimes that load the code when ' +
    'it is called (`--load-ahead off`), and without any (`--stems off`). Against `runc run` and a bare `bwrap` that run the ' +
    'same handler once with the same interpreter.',
  charts: ['first answer, Node', 'first answer, Python', 'first answer, Java'],

  async run(context) {
    const notes: string[] = [];
    const measurements: Measurement[] = [];
    const verdicts: Verdict[] = [];
    const thaws = [
      { subject: 'thaw', thaw: await context.startThaw() },
      { subject: 'thaw, not loaded ahead', thaw: await context.startThaw({ loadAhead: 0 }) },
      { subject: 'thaw, no stems', thaw: await context.startThaw({ stems: 0 }) },
    ];
    const sandboxes = [plainRunc(context), plainBubblewrap()];
    notes.push(...sandboxes.filter((sandbox) => typeof sandbox === 'string'));
    const peers = sandboxes.filter((sandbox) => typeof sandbox !== 'string');
    for (const language of context.quick ? LANGUAGES.slice(0, 1) : LANGUAGES) {
      const files = await language.files(context);
      if (typeof files === 'string') {
        notes.push(`${language.name} is left out: ${files}`);
        continue;
      }
      const found = await measureLanguage(context, language, files, thaws, peers);
      measurements.push(...found);
      verdicts.push(...verdictsOf(language, found));
      context.say(`${language.name} done`);
    }
    return { measurements, verdicts, notes };
  },
};

async function measureLanguage(
  context: BenchContext,
  language: Language,
  files: Readonly<Record<string, Buffer>>,
  thaws: readonly { readonly subject: string; readonly thaw: Thaw }[],
  peers: readonly Sandbox[],
): Promise<Measurement[]> {
  const starts = context.pick(100, 1);
  const runs = context.pick(20, 1);
  const what = `first answer, ${language.name}`;
  const measurements: Measurement[] = [];
  for (const { subject, thaw } of thaws) {
    // Once for each installation the shim of a language is compiled, and its JDK's archive made.
    const first = await thaw.deploy(`${language.name.toLowerCase()}-first`, {
      runtime: language.runtime,
      files,
      fields: { handler: language.handler, memorySize: 256 },
    });
    await coldStart(first);
    await sleep(context.pick(FIRST_REST_MS, 50));
    const seen: ColdStart[] = [];
    for (let n = 0; n < starts; n += 1) {
      const url = await thaw.deploy(`${language.name.toLowerCase()}-${n}`, {
        runtime: language.runtime,
        files,
        fields: { handler: language.handler, memorySize: 256 },
      });
      await rest(context);
      seen.push(await coldStart(url));
    }
    measurements.push({ subject, what, unit: 'ms', values: seen.map(({ ms }) => ms) });
    for (const phase of new Set(seen.flatMap(({ phases }) => [...phases.keys()]))) {
      const values = seen.flatMap(({ phases }) => phases.get(phase) ?? []);
      measurements.push({ subject, what: `${language.name}: ${phase}`, unit: 'ms', values });
    }
  }
  const program = await programOf(context, language, files);
  for (const sandbox of peers) {
    const values: number[] = [];
    for (let n = 0; n < runs; n += 1) values.push(await firstAnswerMs(sandbox, program));
    measurements.push({ subject: sandbox.name, what, unit: 'ms', values });
  }
  return measurements;
}

async function programOf(
  context: BenchContext,
  language: Language,
  files: Readonly<Record<string, Buffer>>,
): Promise<Parameters<typeof firstAnswerMs>[1]> {
  const codeDirectory = await context.directory();
  for (const [path, bytes] of Object.entries(files)) {
    await mkdir(join(codeDirectory, path, '..'), { recursive: true });
    await writeFile(join(codeDirectory, path), bytes);
  }
  return {
    interpreter: await interpreterOf(language.runtime),
    args: language.once,
    codeDirectory,
    socketDirectory: await context.directory(),
  };
}

function verdictsOf({ name, boundMs }: Language, measurements: readonly Measurement[]): Verdict[] {
  const of = (subject: string): number =>
    median(
      measurements.find((one) => one.subject === subject && one.what === `first answer, ${name}`)?.values ??
        [],
    );
  const ours = of('thaw');
  const runc = of('runc');
  return [
    { claim: `${name}, p50 of the first answer`, sense: 'at most', bound: boundMs, value: ours, unit: 'ms' },
    ...(Number.isNaN(runc)
      ? []
      : [
          {
            claim: `${name}, runc run against Thaw`,
            sense: 'at least' as const,
            bound: 5,
            value: runc / ours,
            unit: 'x' as const,
          },
        ]),
  ];
}

async function javaFiles(context: BenchContext): Promise<Readonly<Record<string, Buffer>> | string> {
  const jdk = findJdks().at(-1);
  if (jdk === undefined) return 'this machine has no JDK 17 or newer';
  const directory = await context.directory();
  const interfaces = await fetchInterfaces(directory);
  if (interfaces === undefined) return 'the published Java interfaces cannot be fetched';
  const classes = join(directory, 'classes');
  await compile(jdk, join(PROGRAMS, 'java'), classes, ['--release', '17', '-cp', interfaces]);
  return {
    'Hello.class': await readFile(join(classes, 'Hello.class')),
    [`lib/${basename(interfaces)}`]: await readFile(interfaces),
  };
}
