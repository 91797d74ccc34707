import type { TestContext } from 'node:test';
import type { DriverName } from '../launcher/messages.ts';
import type { SandboxSpec } from '../sandbox.ts';
import type { ContractWorld } from './contract-world.ts';

/** What the parts of the contract's tests share. */
export interface ContractSuite {
  readonly driver: DriverName;
  readonly directory: string;
  readonly runDirectory: string;
  /** The network namespace that plays the host. */
  readonly hostNetwork: string | undefined;
  /** The image that everything runs from, where it does. */
  readonly root: SandboxSpec['root'];
  /** Why nothing can be shown on this machine. */
  readonly skip: string | false;
  /** `skip`, or what the driver says of itself that it lacks. */
  readonly has: (what: string) => string | false;
  /** In a test, which is skipped where there is none. */
  readonly at: () => ContractWorld;
  /** Registers a test; its title begins with the number of the contract in `sandbox.ts`. */
  readonly check: (
    title: string,
    options: { skip: string | boolean },
    act: (t: TestContext) => unknown,
  ) => void;
}

/** Why the process driver cannot show that something is kept apart. */
export function notFor(driver: DriverName): string | false {
  return driver === 'process' ? 'the process driver does not isolate files, network or privileges' : false;
}
