import { spawn, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { ServerReach } from '../launcher/launch.ts';
import type { SandboxServer } from '../sandbox.ts';

const RELAY_FILE = fileURLToPath(new URL('relay-process.cjs', import.meta.url));
const HEAP_MEGABYTES_MAX = 32;

/**
 * A process of ours in the network of a sandbox that leads from a unix socket of the host to a port inside. It belongs
 * to the launcher, sees the host's files and not the sandbox's, and ends when the launcher does.
 */
export function startRelay(
  { nsenter, options }: Extract<ServerReach, { kind: 'relay' }>,
  pid: number,
  { port, relaySocket }: SandboxServer,
): ChildProcess {
  const engine = [process.execPath, `--max-old-space-size=${HEAP_MEGABYTES_MAX}`, RELAY_FILE];
  const args = [...options, '--target', String(pid), '--', ...engine, relaySocket, String(port)];
  const relay = spawn(nsenter, args, { env: {}, stdio: ['pipe', 'ignore', 'inherit'] });
  // Without a relay the server is not reached in time, and whoever waits for that says so.
  relay.on('error', () => undefined);
  relay.stdin?.on('error', () => undefined);
  return relay;
}
