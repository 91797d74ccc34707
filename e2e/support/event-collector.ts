import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import type { TestContext } from 'node:test';
import { afterTest } from '@thaw/testkit/after-test.ts';

/** What functions say that they got: it outlives the platform that they run on. */
export interface EventCollector {
  readonly url: string;
  /** Every event that came, again or not, in order. */
  readonly events: readonly string[];
}

/** The function of which `TELLING_FUNCTION` is the code, in environment variable COLLECTOR, tells it. */
export async function openEventCollector(t: TestContext): Promise<EventCollector> {
  const events: string[] = [];
  const server = createServer((request, response) => {
    text(request).then(
      (event) => {
        events.push(event);
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
  return { url: `http://127.0.0.1:${port}`, events };
}

export const TELLING_FUNCTION = `
exports.handler = async (event) => {
  const answer = await fetch(process.env.COLLECTOR, { method: 'POST', body: event });
  if (!answer.ok) throw new Error('the collector answered ' + answer.status);
  return 'told';
};`;
