import { switchedOff } from '@thaw/testkit/mechanisms.ts';
import { sandboxContract } from '../sandbox-contract.ts';

const off = switchedOff();
await sandboxContract('bubblewrap', undefined, {
  kernelThread: !off.includes('kernel-thread'),
  ...(off.includes('spare-networks') ? { spareNetworks: 0 } : {}),
});
