import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before as beforeAll, test } from 'node:test';
import { systemClock } from '../base/clock.ts';
import type { ContractSuite } from './contract/contract-suite.ts';
import { traces } from './contract/contract-traces.ts';
import { ContractWorld } from './contract/contract-world.ts';
import { testEnds } from './contract/end-contract.ts';
import { testFiles } from './contract/file-contract.ts';
import { testLateTargets } from './contract/late-contract.ts';
import { testLimits } from './contract/limit-contract.ts';
import { testProcesses } from './contract/process-contract.ts';
import type { DriverName } from './launcher/messages.ts';
import type { SandboxSpec } from './sandbox.ts';
import { openSandboxes, type Sandboxes, type SandboxesOptions } from './sandboxes.ts';

export interface ContractVariant {
  readonly name: string;
  /** Over every specification of the suite. */
  readonly spec: Partial<SandboxSpec>;
  /** Why tests of this number cannot be passed; by the beginning of their titles. */
  readonly without: Readonly<Record<string, string>>;
  /** Why none of it can be shown here. */
  readonly skip?: string | undefined;
}

export type ContractSetting = Pick<SandboxesOptions, 'kernelThread' | 'spareNetworks'>;

/** Registers the tests that every driver passes; each names the number of the contract in `sandbox.ts`. */
export async function sandboxContract(
  driver: DriverName,
  variant?: ContractVariant,
  setting: ContractSetting = {},
): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'thaw-sandbox-'));
  const runDirectory = join(directory, 'run');
  const hostNetwork = makeHostNetwork();
  const opened = await openOrReason(driver, runDirectory, hostNetwork?.path, setting);
  const skip = typeof opened === 'string' ? opened : false;
  if (typeof opened === 'string') {
    rmSync(directory, { recursive: true });
    hostNetwork?.remove();
  }
  const world =
    typeof opened === 'string' ? undefined : new ContractWorld(opened, directory, variant?.spec ?? {});
  const suite: ContractSuite = {
    driver,
    directory,
    runDirectory,
    hostNetwork: hostNetwork?.path,
    root: variant?.spec.root,
    skip,
    has: (what) => (skip !== false ? skip : (world?.lacks(what) ?? false)),
    at: () => {
      assert.ok(world !== undefined);
      return world;
    },
    check: (title, options, act) => {
      const without = Object.entries(variant?.without ?? {}).find(([begin]) => title.startsWith(begin));
      const reason = without?.[1] ?? variant?.skip ?? options.skip;
      test(`${variant?.name ?? driver}: ${title}`, { skip: reason }, async (t) => {
        await act(t);
      });
    },
  };

  beforeAll(() => world?.listen());
  after(async () => {
    if (world === undefined) return;
    await world.close();
    hostNetwork?.remove();
    assert.deepEqual(traces(runDirectory), []);
    rmSync(directory, { recursive: true, force: true });
  });
  testProcesses(suite);
  testFiles(suite);
  testLimits(suite);
  testLateTargets(suite);
  testEnds(suite);
}

/** Root's sandboxes get networks; a namespace of the suite's own plays the host, so that the machine's rules stay as they are. */
function makeHostNetwork(): { readonly path: string; remove(): void } | undefined {
  const name = `tt-contract-${process.pid}`;
  if (process.getuid?.() !== 0 || spawnSync('ip', ['netns', 'add', name]).status !== 0) return undefined;
  return { path: `/run/netns/${name}`, remove: () => void spawnSync('ip', ['netns', 'del', name]) };
}

async function openOrReason(
  driver: DriverName,
  runDirectory: string,
  hostNetwork: string | undefined,
  setting: ContractSetting,
): Promise<Sandboxes | string> {
  try {
    return await openSandboxes({
      clock: systemClock,
      log: () => undefined,
      runDirectory,
      isolation: driver,
      hostNetwork,
      ...setting,
    });
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
