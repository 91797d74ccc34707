import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, chownSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';

const run = promisify(execFile);
/** Nobody: an ordinary user whom every machine has. */
const USER = 65_534;
const TRIAL = join(import.meta.dirname, 'user-network-trial.ts');
const WORLD = `require('node:net').createServer((socket) => socket.end('world')).listen(4000)`;
/**
 * A host of its own: processes, mounts and network are this shell's and end with it. Some machines give the tunnel device
 * to root alone; here everybody has it, as on most.
 */
const STAGE = `set -e
mount -t tmpfs tmpfs "$1/stage"
mknod "$1/stage/tun" c 10 200
chmod 666 "$1/stage/tun"
mount --bind "$1/stage/tun" /dev/net/tun
mkfifo "$1/stage/ready"
unshare --net /bin/sh -c 'echo > "$0" && exec "$@"' "$1/stage/ready" "$2" -e "$4" >&2 &
world=$!
read -r _ < "$1/stage/ready"
ip link set lo up
ip link add up0 type veth peer name out0 netns "$world"
inside="nsenter --net=/proc/$world/ns/net"
$inside ip address add 203.0.113.2/24 dev out0
$inside ip link set out0 up
ip address add 203.0.113.1/24 dev up0
ip address add 198.51.100.7/32 dev lo
ip link set up0 up
ip route add default via 203.0.113.2
setpriv --reuid=${USER} --regid=${USER} --clear-groups "$2" "$3" "$1"
`;
const OWN = ['--mount', '--net', '--pid', '--fork', '--kill-child', '--mount-proc', '--'];

test('an ordinary user gives sandboxes the world and not the host', { skip: whyNot() }, async (context) => {
  const directory = mkdtempSync(join(tmpdir(), 'thaw-uplink-'));
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  mkdirSync(join(directory, 'stage'));
  chownSync(directory, USER, USER);
  const stage = ['/bin/sh', '-c', STAGE, 'sh', directory, process.execPath, TRIAL, WORLD];
  const { stdout } = await run('unshare', [...OWN, ...stage]);
  const { shortcomings, afterCrash, ...found }: Record<string, unknown> = JSON.parse(stdout);
  assert.doesNotMatch(JSON.stringify(shortcomings), /no network/u);
  assert.ok(afterCrash === 0 || afterCrash === 1);
  assert.deepEqual(found, {
    answers: { '203.0.113.2 ': 'world', '203.0.113.2 up0': 'world' },
    callsToHost: 0,
    whileRunning: 1,
    afterEnd: 0,
    beforeCrash: 1,
    afterAll: 0,
  });
});

function whyNot(): string | false {
  if (process.getuid?.() !== 0) return 'only root can make a host with a tunnel device for everybody';
  if (!existsSync('/dev/net/tun')) return 'there is no /dev/net/tun';
  for (const name of ['bwrap', 'pasta', 'nft', 'unshare', 'nsenter', 'ip', 'setpriv', 'python3']) {
    if (spawnSync(name, ['--version']).error !== undefined) return `${name} is not installed`;
  }
  const become = [`--reuid=${USER}`, `--regid=${USER}`, '--clear-groups'];
  const reading = spawnSync('setpriv', [...become, process.execPath, '--check', TRIAL]);
  if (reading.status !== 0) return 'an ordinary user cannot read these files';
  const making = spawnSync('setpriv', [...become, 'unshare', '--user', '--map-root-user', '--net', 'true']);
  return making.status === 0 ? false : 'ordinary users cannot make namespaces here';
}
