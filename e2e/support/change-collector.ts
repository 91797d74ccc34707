import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import type { TestContext } from 'node:test';
import { afterTest } from '@thaw/testkit/after-test.ts';

export interface CollectedChange {
  readonly id: string;
  readonly operation: string;
  readonly key: Readonly<Record<string, unknown>> | null;
  readonly after: Readonly<Record<string, unknown>> | null;
}

/** What functions say that they got: it outlives the platform that they run on. */
export interface ChangeCollector {
  readonly url: string;
  /** Every event that came, again or not, in order. */
  readonly events: (readonly CollectedChange[])[];
  /** Each change once, as it came first. */
  distinct(): readonly CollectedChange[];
}

/** The function of which `COLLECTOR_FUNCTION` is the code, in environment variable COLLECTOR, tells it. */
export async function openCollector(t: TestContext): Promise<ChangeCollector> {
  const events: (readonly CollectedChange[])[] = [];
  const server = createServer((request, response) => {
    json(request).then(
      (event) => {
        if (hasChanges(event)) events.push(event.changes);
        response.end();
      },
      // The platform was killed in the middle of it.
      () => response.destroy(),
    );
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  afterTest(t, () => {
    server.closeAllConnections();
    server.close();
  });
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it listens on a port
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    events,
    distinct: () =>
      [
        ...new Map(
          events
            .flat()
            .toReversed()
            .map((change) => [change.id, change]),
        ).values(),
      ].toReversed(),
  };
}

export const COLLECTOR_FUNCTION = `
exports.handler = async (event) => {
  const answer = await fetch(process.env.COLLECTOR, { method: 'POST', body: event });
  if (!answer.ok) throw new Error('the collector answered ' + answer.status);
};`;

function hasChanges(event: unknown): event is { readonly changes: readonly CollectedChange[] } {
  return typeof event === 'object' && event !== null && 'changes' in event && Array.isArray(event.changes);
}
