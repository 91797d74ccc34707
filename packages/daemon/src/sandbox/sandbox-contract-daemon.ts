/** A daemon for the contract suite to kill: `<driver> <run directory> <output socket> <host network or nothing>`; prints two process ids. */
import { systemClock } from '../base/clock.ts';
import { openSandboxes } from './sandboxes.ts';

const [driver, runDirectory = '', outputSocket = '', hostNetwork = ''] = process.argv.slice(2);
const sandboxes = await openSandboxes({
  runDirectory,
  isolation: driver === 'process' ? 'process' : 'bubblewrap',
  clock: systemClock,
  log: () => undefined,
  hostNetwork: hostNetwork === '' ? undefined : hostNetwork,
});
const sandbox = await sandboxes.driver.start({
  id: 'orphan',
  command: ['sh', '-c', 'sleep 1000 & (sleep 1000 &) ; wait'],
  environment: { PATH: '/usr/bin:/bin' },
  workingDirectory: '/',
  mounts: [],
  memoryBytesMax: 128 * 1024 * 1024,
  cpu: 1,
  cpuShare: 512,
  processesMax: 64,
  temporaryBytesMax: 16 * 1024 * 1024,
  network: 'none',
  outputSocket,
});
process.stdout.write(`${sandbox.pid} ${sandboxes.launcherPid() ?? 0}\n`);
