import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { newRequestId } from '../../base/ids.ts';
import { systemClock } from '../../base/clock.ts';
import { TEST_PLACE } from '../../catalog/temporary-catalog.ts';
import type { Catalog } from '../../catalog/catalog.ts';
import { UploadStore } from '../../catalog/upload-store.ts';
import { singleAccessKey } from '../../gateway/signature/access-keys.ts';
import { RequestVerifier } from '../../gateway/signature/request-verifier.ts';
import { SignedTokens } from '../../gateway/signature/signed-token.ts';
import { DeadlineWheel } from '../../base/deadline-wheel.ts';
import type { Instance } from '../../instance/instance.ts';
import { AsyncInvocations } from '../../invocation/async/async-invocations.ts';
import { DEFAULT_ASYNC_POLICY } from '../../invocation/async/retry-policy.ts';
import { Scheduler } from '../../scheduler/scheduler.ts';
import type { Blobs } from '../../store/blobs.ts';
import { FileBlobs } from '../../store/file-blobs.ts';
import type { Queue } from '../../store/queue.ts';
import { SqliteQueue } from '../../store/sqlite/sqlite-queue.ts';
import { createFcDoor } from './fc-door.ts';
import type { InstanceListing } from './fc-deps.ts';

export const TEST_KEY = { accessKeyId: 'AKID', accessKeySecret: 'SECRET' };

export interface FcServer extends AsyncDisposable {
  /** `127.0.0.1:<port>`. */
  readonly endpoint: string;
  readonly aborted: string[];
  readonly failures: unknown[];
}

/** For tests: the door behind a bare HTTP server on a free port. */
export async function serveFc(
  catalog: Catalog,
  blobs: Blobs,
  directory: string,
  instances: readonly InstanceListing[] = [],
): Promise<FcServer> {
  const clock = systemClock;
  const aborted: string[] = [];
  const failures: unknown[] = [];
  const queue = await SqliteQueue.open(directory, clock.now());
  const asyncTasks = idleInvocations(queue, catalog, directory);
  const door = createFcDoor({
    catalog,
    asyncTasks,
    verifier: new RequestVerifier(singleAccessKey(TEST_KEY.accessKeyId, TEST_KEY.accessKeySecret), clock),
    tokens: new SignedTokens(randomBytes(32), clock),
    uploads: new UploadStore(join(directory, 'uploads'), clock),
    zipPath: (digest) => blobs.path(digest),
    clock,
    publicUrl: undefined,
    listInstances: () => instances,
    imageState: () => ({ state: 'pending' }),
    provisionStatus: () => ({ target: 3, current: 1, currentError: 'no room' }),
    abortInvocations: (functionName) => aborted.push(functionName),
    onPlatformError: (error) => failures.push(error),
  });
  const server = createServer((request, response) => {
    const [path = '', query = ''] = (request.url ?? '').split('?', 2);
    const work = door
      .handle({
        method: request.method ?? '',
        path,
        query,
        headers: plain(request.headers),
        body: request,
        requestId: newRequestId(clock.now()),
      })
      .then((answer) => {
        response.writeHead(answer.status, answer.headers);
        if (answer.body instanceof Readable) answer.body.pipe(response);
        else response.end(answer.body);
      });
    work.catch((error: unknown) => failures.push(error));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    endpoint: `127.0.0.1:${port}`,
    aborted,
    failures,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
      await asyncTasks.stop();
      await queue.close();
    },
  };
}

/** They keep tasks and never run any. */
function idleInvocations(queue: Queue, catalog: Catalog, directory: string): AsyncInvocations {
  const wheel = new DeadlineWheel(systemClock);
  const limits = {
    instancesMax: 0,
    instancesPerFunctionMax: 0,
    memoryMbMax: 0,
    waitersPerFunctionMax: 0,
    waitMsMax: 0,
    idleMsMax: 0,
  };
  const createInstance = (): never => {
    throw new Error('nothing runs behind this door');
  };
  const scheduler = new Scheduler<Instance>({ clock: systemClock, wheel, limits, createInstance });
  return new AsyncInvocations({
    queue,
    blobs: new FileBlobs(join(directory, 'async-blobs')),
    wheel,
    invocation: {
      clock: systemClock,
      scheduler,
      accountId: TEST_PLACE.accountId,
      onFinished: () => undefined,
    },
    resolve: (functionName, qualifier) => catalog.routes.resolve(functionName, qualifier, 0),
    policyOf: () => DEFAULT_ASYNC_POLICY,
    log: () => undefined,
  });
}

export const SERVED_ACCOUNT = TEST_PLACE.accountId;

function plain(headers: IncomingHttpHeaders): Record<string, string | undefined> {
  const result: Record<string, string | undefined> = {};
  for (const [name, value] of Object.entries(headers)) {
    result[name] = Array.isArray(value) ? value.join(',') : value;
  }
  return result;
}
