import { setTimeout as sleep } from 'node:timers/promises';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import type { Thaw } from './thaw.ts';

const FULL_MS_MAX = 60_000;
/** What a runtime allocates in its first moments belongs to it. */
const SETTLE_MS = 500;

/** Until so many instances are busy, and a little longer. */
export async function sleepUntilFull(thaw: Thaw, instances: number): Promise<void> {
  await waitFor(
    `${instances} busy instances`,
    async () => (await thaw.metric('thaw_instances', 'state="busy"')) >= instances,
    FULL_MS_MAX,
  );
  await sleep(SETTLE_MS);
}
