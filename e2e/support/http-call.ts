import {
  request as httpRequest,
  type Agent,
  type ClientRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
} from 'node:http';
import { connect } from 'node:net';

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** Flat names and values, as they came. */
  readonly rawHeaders: readonly string[];
  readonly body: Buffer;
}

export interface Call {
  readonly method?: string;
  /** Path and query, sent as it stands. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: Buffer | string;
  readonly agent?: Agent;
  /** For what takes longer than other calls may. */
  readonly answerMsMax?: number;
}

/** A call that never ends is a failure of the platform, told before the runner gives up on the whole file. */
const ANSWER_MS_MAX = 60_000;

/** One HTTP exchange, nothing followed, decoded or normalised. */
export function send(url: string, call: Call): Promise<Answer> {
  const { hostname, port } = new URL(url);
  // A body is announced by its length unless the caller chose another way: both at once are refused, and rightly.
  const bytes = call.body === undefined ? undefined : Buffer.from(call.body);
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      {
        host: hostname,
        port,
        method: call.method ?? 'GET',
        path: call.path,
        headers: {
          ...(bytes === undefined || call.headers?.['transfer-encoding'] !== undefined
            ? {}
            : { 'content-length': String(bytes.length) }),
          ...call.headers,
        },
        agent: call.agent ?? false,
        timeout: call.answerMsMax ?? ANSWER_MS_MAX,
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.once('error', reject);
        response.once('end', () => {
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            rawHeaders: response.rawHeaders,
            body: Buffer.concat(chunks),
          });
        });
      },
    );
    request.once('error', reject);
    request.once('timeout', () => {
      request.destroy(new Error(`no answer to ${call.method ?? 'GET'} ${call.path.slice(0, 100)}`));
    });
    request.end(bytes);
  });
}

/** Writes these bytes to a fresh connection and gives everything that came back until the platform closed it. */
export function sendRaw(url: string, bytes: string | Buffer, options = { end: false }): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    const socket = connect({ host: hostname, port: Number(port) });
    socket.setTimeout(ANSWER_MS_MAX, () =>
      socket.destroy(new Error('the platform kept the connection open')),
    );
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    // The platform may close while we still write: what it said before that is the answer.
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE' && error.code !== 'ECONNRESET') reject(error);
    });
    socket.once('close', () => resolve(Buffer.concat(chunks).toString('latin1')));
    if (options.end) socket.end(bytes);
    else socket.write(bytes);
  });
}

/** The body as JSON; its shape is what the test that asks expects. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the one place that says what JSON is
export function jsonOf<T>(answer: Pick<Answer, 'body'>): T {
  const value: T = JSON.parse(answer.body.toString('utf8'));
  return value;
}

/** The head of the answer to a request that is under way. */
export function responseOf(request: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.once('response', resolve);
    request.once('error', reject);
  });
}
