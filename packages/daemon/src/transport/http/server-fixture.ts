import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import type { HttpRequest } from '../transport.ts';
import { HttpConnection } from './http-connection.ts';

/** For tests: a web server in this process, and the connection to it that an instance would have. */
export async function serveFor(
  t: TestContext,
  handler: (request: IncomingMessage, response: ServerResponse) => void,
  fields: Partial<Served> = {},
): Promise<{ server: Server; connection: HttpConnection; port: number }> {
  const server = createServer(handler);
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const port = portOf(server);
  const connection = connectFor(t, port, fields);
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return { server, connection, port };
}

export function connectFor(t: TestContext, port: number, fields: Partial<Served> = {}): HttpConnection {
  const connection = new HttpConnection({ host: '127.0.0.1', port }, port, { ...SERVED, ...fields }, 'c-1');
  t.after(() => connection.close());
  return connection;
}

export function httpRequest(method: string, url: string, fields: Partial<HttpRequest> = {}): HttpRequest {
  return {
    kind: 'http',
    requestId: '1-a',
    deadlineMs: Date.now() + 60_000,
    qualifier: 'LATEST',
    versionId: 'LATEST',
    method,
    url,
    base: '',
    rawHeaders: ['Host', 'app.example', 'x-fc-request-id', '1-a', 'x-fc-control-path', '/http-invoke'],
    remoteAddress: '127.0.0.1',
    scheme: 'http',
    body: Buffer.alloc(0),
    ...fields,
  };
}

/** The platform's own call with an event. */
export function invokeRequest(event: string): HttpRequest {
  const body = Buffer.from(event);
  const rawHeaders = ['Content-Type', 'application/octet-stream', 'Content-Length', String(body.length)];
  rawHeaders.push('x-fc-request-id', '1-a', 'x-fc-control-path', '/invoke');
  return httpRequest('POST', '/invoke', { body, rawHeaders });
}

export function portOf(server: { address(): AddressInfo | string | null }): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  return address.port;
}

type Served = ConstructorParameters<typeof HttpConnection>[2];

const SERVED: Served = {
  functionName: 'app',
  handler: 'not.used',
  memoryMb: 128,
  timeoutMs: 3000,
  versionId: 'LATEST',
  environment: { FC_REGION: 'local', FC_ACCOUNT_ID: '1000' },
  initializer: undefined,
  hooks: { preFreeze: undefined, preStop: undefined, postThaw: undefined },
  freezeAfterMs: undefined,
  logProject: '',
  logStore: '',
};
