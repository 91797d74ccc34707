import { createHash, randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import type { TestContext } from 'node:test';
import { afterTest } from './after-test.ts';

export interface RegistryOptions {
  /** Directory in the OCI image layout: its tags are those of every repository. */
  readonly layout: string;
  readonly auth?: 'basic' | 'bearer';
  readonly userName?: string;
  readonly password?: string;
  /** Blobs are had from another server, which is not to see what was sent to this one. */
  readonly redirectsBlobs?: boolean;
  /** Whether blobs and manifests are taken, into the layout and under tags of every repository. */
  readonly takesUploads?: boolean;
  /** What is done before an answer; true: it has answered itself. */
  readonly before?: (request: SeenRequest, response: ServerResponse) => boolean | Promise<boolean>;
}

export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly authorization: string | undefined;
  readonly range: string | undefined;
  readonly isElsewhere: boolean;
}

export interface TestRegistry {
  /** `127.0.0.1:<port>`, as in the name of an image. */
  readonly host: string;
  readonly requests: SeenRequest[];
  stop(): Promise<void>;
}

const TAG = 'org.opencontainers.image.ref.name';

/** A registry of this process: what Debian's does not do (tokens, redirects, failures) is done at will. */
export async function startRegistry(t: TestContext, options: RegistryOptions): Promise<TestRegistry> {
  const requests: SeenRequest[] = [];
  const token = randomBytes(12).toString('hex');
  const tags = new Map<string, string>();
  let elsewhere: Server | undefined;
  const answerFor =
    (isElsewhere: boolean) =>
    (request: IncomingMessage, response: ServerResponse): void => {
      const seen: SeenRequest = {
        method: request.method ?? '',
        path: request.url ?? '',
        authorization: request.headers.authorization,
        range: request.headers.range,
        isElsewhere,
      };
      requests.push(seen);
      answer(seen, request, response).catch(() => response.destroy());
    };
  const answer = async (
    seen: SeenRequest,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> => {
    if ((await options.before?.(seen, response)) === true) return;
    if (seen.path.startsWith('/token')) {
      if (seen.authorization === basic(options))
        end(response, 200, JSON.stringify({ token, expires_in: 300 }));
      else end(response, 401, '{}');
      return;
    }
    const wanted = options.auth === 'basic' ? basic(options) : `Bearer ${token}`;
    if (!seen.isElsewhere && options.auth !== undefined && seen.authorization !== wanted) {
      const { host = '' } = request.headers;
      const challenge =
        options.auth === 'basic'
          ? 'Basic realm="registry"'
          : `Bearer realm="http://${host}/token",service="test",scope="repository:app:pull"`;
      response.setHeader('WWW-Authenticate', challenge);
      end(response, 401, JSON.stringify({ errors: [{ code: 'UNAUTHORIZED', message: 'who are you' }] }));
      return;
    }
    const [, kind, reference = ''] = /\/(manifests|blobs)\/([^/]+)$/u.exec(seen.path) ?? [];
    if (kind === 'blobs' && options.redirectsBlobs === true && elsewhere !== undefined && !seen.isElsewhere) {
      response.setHeader('Location', `http://127.0.0.1:${portOf(elsewhere)}${seen.path}`);
      end(response, 307, '');
      return;
    }
    if (options.takesUploads === true && (seen.method === 'POST' || seen.method === 'PUT')) {
      await take(options.layout, tags, request, response);
      return;
    }
    const found = await content(options.layout, kind, tags.get(reference) ?? reference);
    if (found === undefined) {
      end(
        response,
        404,
        JSON.stringify({ errors: [{ code: 'MANIFEST_UNKNOWN', message: 'not known here' }] }),
      );
      return;
    }
    response.setHeader('Content-Type', found.mediaType);
    const [, start, last] = /^bytes=(\d+)-(\d+)$/u.exec(seen.range ?? '') ?? [];
    if (start === undefined || last === undefined) {
      end(response, 200, found.bytes);
      return;
    }
    response.setHeader('Content-Range', `bytes ${start}-${last}/${found.bytes.length}`);
    end(response, 206, found.bytes.subarray(Number(start), Number(last) + 1));
  };
  const server = createServer(answerFor(false));
  const servers = [server];
  if (options.redirectsBlobs === true) {
    elsewhere = createServer(answerFor(true));
    servers.push(elsewhere);
  }
  for (const each of servers) {
    await new Promise<void>((resolve) => {
      each.listen(0, '127.0.0.1', resolve);
    });
  }
  const host = `127.0.0.1:${portOf(server)}`;
  const stop = async (): Promise<void> => {
    for (const each of servers) {
      each.closeAllConnections();
      await new Promise((resolve) => each.close(resolve));
    }
  };
  afterTest(t, stop);
  return { host, requests, stop };
}

/** An upload in one piece, and the manifest that names it (OCI distribution specification 1.1). */
async function take(
  layout: string,
  tags: Map<string, string>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const body = await buffer(request);
  const digest = `sha256:${createHash('sha256').update(body).digest('hex')}`;
  const url = new URL(request.url ?? '', 'http://registry');
  if (request.method === 'POST') {
    response.setHeader('Location', `${url.pathname}1`);
    end(response, 202, '');
    return;
  }
  const [, tag] = /\/manifests\/([^/]+)$/u.exec(url.pathname) ?? [];
  if (tag === undefined && url.searchParams.get('digest') !== digest) {
    end(response, 400, 'another digest');
    return;
  }
  await writeFile(join(layout, 'blobs', digest.replace(':', '/')), body);
  if (tag !== undefined) tags.set(tag, digest);
  end(response, 201, '');
}

async function content(
  layout: string,
  kind: string | undefined,
  reference: string,
): Promise<{ mediaType: string; bytes: Buffer } | undefined> {
  try {
    let digest = reference;
    let mediaType = 'application/octet-stream';
    if (kind === 'manifests') {
      const index: {
        manifests: { digest: string; mediaType: string; annotations?: Record<string, string> }[];
      } = JSON.parse(await readFile(join(layout, 'index.json'), 'utf8'));
      const entry = index.manifests.find(
        ({ digest: known, annotations }) => known === reference || annotations?.[TAG] === reference,
      );
      digest = entry?.digest ?? reference;
      mediaType = entry?.mediaType ?? 'application/vnd.oci.image.manifest.v1+json';
    }
    return { mediaType, bytes: await readFile(join(layout, 'blobs', digest.replace(':', '/'))) };
  } catch {
    return undefined;
  }
}

function basic({ userName = '', password = '' }: RegistryOptions): string {
  return `Basic ${Buffer.from(`${userName}:${password}`).toString('base64')}`;
}

function end(response: ServerResponse, status: number, body: string | Buffer): void {
  response.writeHead(status, { 'Content-Length': Buffer.byteLength(body) });
  response.end(body);
}

function portOf(server: Server): number {
  const address: AddressInfo | string | null = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}
