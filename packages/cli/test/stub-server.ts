import { createHash, createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { buffer } from 'node:stream/consumers';
import {
  acs3CanonicalRequest,
  acs3StringToSign,
  EMPTY_SHA256,
  parseAcs3Authorization,
} from '@thaw/protocol/acs3.ts';
import type { Platform } from '../src/api/platform.ts';

export interface ReceivedCall {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

export interface StubServer extends AsyncDisposable {
  readonly platform: Platform;
  readonly calls: readonly ReceivedCall[];
}

type Answer = (call: ReceivedCall, response: ServerResponse) => void;

/** A bare HTTP server that checks every signature with the canonical functions the daemon uses, then answers. */
export async function startStubServer(answer: Answer): Promise<StubServer> {
  const calls: ReceivedCall[] = [];
  const keys = { accessKeyId: 'AKID', accessKeySecret: 'secret' };
  const server = createServer((request, response) => {
    const serve = async (): Promise<void> => {
      const body = await buffer(request);
      const [path = '', query = ''] = (request.url ?? '').split('?');
      if (!isSigned(request, path, query, body, keys.accessKeySecret)) {
        response.writeHead(403, { 'content-type': 'application/json' });
        response.end(
          JSON.stringify({ Code: 'SignatureNotMatch', Message: 'wrong signature', RequestId: '1-a-b' }),
        );
        return;
      }
      const { method = '', headers } = request;
      const call = { method, path, query: new URLSearchParams(query), headers, body };
      calls.push(call);
      answer(call, response);
    };
    serve().catch(() => response.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    platform: { url: `http://127.0.0.1:${port}`, ...keys },
    calls,
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

function isSigned(
  request: IncomingMessage,
  path: string,
  query: string,
  body: Buffer,
  secret: string,
): boolean {
  const authorization = parseAcs3Authorization(request.headers.authorization ?? '');
  if (authorization === undefined) return false;
  const bodySha256 = body.length === 0 ? EMPTY_SHA256 : createHash('sha256').update(body).digest('hex');
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(request.headers)) headers[name] = String(value);
  const canonical = acs3CanonicalRequest({
    method: request.method ?? '',
    path,
    query,
    headers,
    signedHeaders: authorization.signedHeaders,
    bodySha256,
  });
  const text = acs3StringToSign(createHash('sha256').update(canonical).digest('hex'));
  return createHmac('sha256', secret).update(text).digest('hex') === authorization.signature;
}
