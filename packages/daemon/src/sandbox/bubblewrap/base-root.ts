import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

/**
 * The root that every bubblewrap sandbox starts from: the host's programs and libraries read-only, and an `/etc` of
 * our own with only what programs need to run, resolve names and check certificates. The host's `/etc` holds
 * secrets and local policy, so nothing of it is shown that is not named here.
 */
export interface BaseRoot {
  /** bwrap arguments that build it. */
  readonly argumentsForBwrap: readonly string[];
  /** Makes the passwd and group files that name one user id. */
  writeUser(uid: number): void;
  /** The same, with the bwrap arguments that show them. */
  userArguments(uid: number): string[];
}

const PROGRAM_DIRECTORIES = ['bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32'];
const COPIED = [
  'ld.so.cache',
  'ld.so.conf',
  'ld.so.conf.d',
  'localtime',
  'timezone',
  'mime.types',
  'services',
  'protocols',
  'ssl/openssl.cnf',
  'gai.conf',
];
/** Large or linked directories are bound instead of copied. */
const BOUND = [
  'alternatives',
  'ssl/certs',
  'pki/tls/certs',
  'pki/ca-trust',
  'ca-certificates',
  'crypto-policies',
  'fonts',
];

export interface BaseRootOptions {
  /** Where the made files live while the platform runs. */
  readonly directory: string;
  readonly nameServers: string;
}

export function buildBaseRoot({ directory, nameServers }: BaseRootOptions): BaseRoot {
  const etc = join(directory, 'etc');
  const users = join(directory, 'users');
  mkdirSync(etc, { recursive: true, mode: 0o755 });
  mkdirSync(users, { recursive: true, mode: 0o755 });
  const bound = [...BOUND, ...javaConfigurations()].filter((name) => existsSync(join('/etc', name)));

  writeFileSync(join(etc, 'hosts'), '127.0.0.1 localhost thaw\n::1 localhost\n');
  writeFileSync(join(etc, 'hostname'), 'thaw\n');
  writeFileSync(
    join(etc, 'nsswitch.conf'),
    'passwd: files\ngroup: files\nhosts: files dns\nservices: files\n',
  );
  writeFileSync(join(etc, 'resolv.conf'), nameServers);
  writeFileSync(join(etc, 'passwd'), passwdFile(SANDBOX_UID));
  writeFileSync(join(etc, 'group'), groupFile(SANDBOX_UID));
  for (const name of COPIED) {
    const source = join('/etc', name);
    if (existsSync(source)) cpSync(source, join(etc, name), { recursive: true, dereference: true });
  }
  for (const name of bound) mkdirSync(join(etc, name), { recursive: true });

  const writeUser = (uid: number): void => {
    const file = `${users}/${uid}`;
    if (existsSync(`${file}.group`)) return;
    writeFileSync(`${file}.passwd`, passwdFile(uid));
    writeFileSync(`${file}.group`, groupFile(uid));
  };

  return {
    argumentsForBwrap: [
      '--ro-bind',
      '/usr',
      '/usr',
      ...PROGRAM_DIRECTORIES.flatMap(programDirectoryArguments),
      '--ro-bind',
      etc,
      '/etc',
      ...bound.flatMap((name) => ['--ro-bind', join('/etc', name), join('/etc', name)]),
    ],
    writeUser,
    userArguments(uid) {
      writeUser(uid);
      const passwd = join(users, `${uid}.passwd`);
      const group = join(users, `${uid}.group`);
      return ['--ro-bind', passwd, '/etc/passwd', '--ro-bind', group, '/etc/group'];
    },
  };
}

/** The user inside a sandbox that has a user namespace of its own. */
export const SANDBOX_UID = 1000;

/** A merged-usr host has links to `/usr` here, others have real directories. */
function programDirectoryArguments(name: string): string[] {
  const path = `/${name}`;
  if (!existsSync(path)) return [];
  return lstatSync(path).isSymbolicLink()
    ? ['--symlink', readlinkSync(path), path]
    : ['--ro-bind', path, path];
}

/** Debian keeps a JDK's configuration outside the JDK; without it `java` does not start. */
function javaConfigurations(): string[] {
  return readdirSync('/etc').filter((name) => name.startsWith('java'));
}

function passwdFile(uid: number): string {
  return `root:x:0:0:root:/nonexistent:/usr/sbin/nologin\nthaw:x:${uid}:${uid}:Function:/tmp:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n`;
}

function groupFile(gid: number): string {
  return `root:x:0:\nthaw:x:${gid}:\nnogroup:x:65534:\n`;
}

/** The host's resolver as sandboxes can use it: a resolver on the host's loopback cannot be reached from inside. */
export function nameServersForSandboxes(): {
  readonly text: string;
  readonly shortcoming: string | undefined;
} {
  const own = readIfThere('/etc/resolv.conf');
  if (!hasLoopbackServer(own)) return { text: own, shortcoming: undefined };
  const upstream = readIfThere('/run/systemd/resolve/resolv.conf');
  if (upstream !== '' && !hasLoopbackServer(upstream)) return { text: upstream, shortcoming: undefined };
  return {
    text: own,
    shortcoming:
      "names do not resolve inside sandboxes: the host's resolver listens on the host's loopback only",
  };
}

function hasLoopbackServer(text: string): boolean {
  return /^\s*nameserver\s+(127\.|::1)/mu.test(text);
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
