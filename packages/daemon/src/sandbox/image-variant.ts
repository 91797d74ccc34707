import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { librariesOf } from './bubblewrap/start-tools.ts';
import { findProgram } from './launcher/run-program.ts';
import type { ContractVariant } from './sandbox-contract.ts';
import type { ContainerRuntime } from './sandbox.ts';

const MEGABYTE = 1024 * 1024;
/** What the contract suite runs. */
const PROGRAMS = [
  'bash',
  'sh',
  'env',
  'true',
  'cat',
  'sleep',
  'head',
  'tr',
  'stat',
  'touch',
  'ls',
  'grep',
  'wc',
  'id',
  'mkdir',
];

/** The contract suite with a root of their own; what it mounts or expects of the base root is not for them. */
export function imageVariant(name: string, runtime: ContainerRuntime | undefined): ContractVariant {
  return {
    name,
    spec: {
      root: {
        lower: makeImageDirectory(),
        writableBytesMax: 16 * MEGABYTE,
        user: { uid: 1000, gid: 1000, groups: [] },
        missingDirectory: undefined,
      },
      ...(runtime === undefined ? {} : { runtime }),
    },
    without: {
      '5 mounts': 'an image has its files, and nothing is mounted into it',
      '5 a writable mount': 'nothing is mounted into an image',
      '5 nothing of the host': 'an image has files of its own',
      '5 no privilege': 'an image has users of its own',
      '9': 'nothing is mounted into an image',
      '200 starts': 'shown by the driver without an image',
    },
  };
}

/** A directory like an unpacked image, with programs of the host and what they need. */
function makeImageDirectory(): string {
  const root = mkdtempSync(join(tmpdir(), 'thaw-image-'));
  chmodSync(root, 0o755);
  process.once('exit', () => rmSync(root, { recursive: true, force: true }));
  for (const directory of ['etc', 'usr/bin']) mkdirSync(join(root, directory), { recursive: true });
  symlinkSync('usr/bin', join(root, 'bin'));
  writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0::/root:/bin/sh\nimage:x:1000:1000::/:/bin/sh\n');
  const put = (source: string, path: string): void => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    if (!existsSync(join(root, path))) copyFileSync(source, join(root, path));
  };
  for (const name of PROGRAMS) {
    const program = findProgram(name);
    if (program === undefined) continue;
    put(realpathSync(program), `usr/bin/${name}`);
    for (const library of librariesOf(program)) put(realpathSync(library), library);
  }
  return root;
}
