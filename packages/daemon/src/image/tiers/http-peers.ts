import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { once } from 'node:events';
import { Agent, request } from 'undici';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { ArrivedChunk, ChunkRef } from '../chunks/chunk-ref.ts';
import type { GetOptions } from './chunk-tier.ts';
import type { PeerTransport } from './peer-tier.ts';
import { CHUNKS_PATH, decodeAnswer, encodeHead, encodeRequest, parseRequest } from './peer-wire.ts';

const REQUEST_BYTES_MAX = 4 * 1024 * 1024;
const CONNECTIONS_PER_PEER_MAX = 16;

/** Peers by their URLs. All nodes of a zone know one secret; functions' networks do not reach the port. */
export class HttpPeers implements PeerTransport {
  readonly #agent = new Agent({ connections: CONNECTIONS_PER_PEER_MAX, pipelining: 1 });
  readonly #secret: string;

  constructor(secret: string) {
    this.#secret = secret;
  }

  async *fetch(peer: string, wanted: readonly ChunkRef[], signal: AbortSignal): AsyncGenerator<ArrivedChunk> {
    const { statusCode, body } = await request(new URL(CHUNKS_PATH, peer), {
      method: 'POST',
      headers: { authorization: `Bearer ${this.#secret}`, 'content-type': 'application/json' },
      body: encodeRequest(wanted),
      dispatcher: this.#agent,
      signal,
    });
    if (statusCode !== 200) {
      body.resume();
      throw new ThawError('REGISTRY_FAILED', `the peer ${peer} answered ${statusCode}`);
    }
    yield* decodeAnswer(body, wanted);
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }
}

export interface PeerServer {
  /** `http://host:port`. */
  readonly url: string;
  close(): Promise<void>;
}

/** A tier that gives every chunk with its bytes. */
export interface PeerSource {
  get(wanted: readonly ChunkRef[], options: GetOptions): AsyncIterable<ArrivedChunk>;
}

/** Answers other nodes from `tier`, which must ask no peers itself. */
export async function servePeers(
  tier: PeerSource,
  secret: string,
  host: string,
  port: number,
): Promise<PeerServer> {
  const server = createServer((incoming, outgoing) => {
    answer(tier, secret, incoming, outgoing).catch(() => outgoing.destroy());
  });
  server.listen(port, host);
  await once(server, 'listening');
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${portOf(server)}`,
    close: () => closeServer(server),
  };
}

async function answer(
  tier: PeerSource,
  secret: string,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<void> {
  if (incoming.method !== 'POST' || incoming.url !== CHUNKS_PATH) return refuse(incoming, outgoing, 404);
  if (!isSecret(incoming.headers.authorization, secret)) return refuse(incoming, outgoing, 403);
  let wanted: readonly ChunkRef[];
  try {
    wanted = parseRequest(JSON.parse((await bodyOf(incoming)).toString('utf8')));
  } catch {
    return refuse(incoming, outgoing, 400);
  }
  const ending = new AbortController();
  outgoing.once('close', () => ending.abort());
  outgoing.writeHead(200, { 'content-type': 'application/octet-stream' });
  try {
    for await (const chunk of tier.get(wanted, { urgency: 'demand', signal: ending.signal })) {
      if (ending.signal.aborted) return;
      outgoing.write(encodeHead(chunk));
      if (!outgoing.write(chunk.bytes)) await drained(outgoing);
    }
  } catch {
    // What could not be had is left out; the asking node goes to the next tier.
  }
  outgoing.end();
}

/** Or gone. */
function drained(outgoing: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      outgoing.off('drain', end);
      outgoing.off('close', end);
      resolve();
    };
    outgoing.on('drain', end);
    outgoing.on('close', end);
    if (outgoing.destroyed) end();
  });
}

function refuse(incoming: IncomingMessage, outgoing: ServerResponse, status: number): void {
  incoming.resume();
  outgoing.writeHead(status).end();
}

function isSecret(header: string | undefined, secret: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(header ?? ''), digest(`Bearer ${secret}`));
}

async function bodyOf(incoming: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of incoming) {
    const bytes = Buffer.from(part);
    size += bytes.length;
    if (size > REQUEST_BYTES_MAX)
      throw new ThawError('PAYLOAD_TOO_LARGE', 'a request for chunks is too large');
    parts.push(bytes);
  }
  return Buffer.concat(parts);
}

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

async function closeServer(server: Server): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  server.closeAllConnections();
  await closed;
}
