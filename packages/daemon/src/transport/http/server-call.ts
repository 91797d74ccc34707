import type { AnswerHead } from './answer-head.ts';
import type { HttpClients } from './http-clients.ts';
import { requestHead } from './request-head.ts';

/** Of an answer's body, what is kept to say what went wrong. */
const TEXT_BYTES_MAX = 4 * 1024;

export interface ServerCall {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  /** Lines of headers. */
  readonly headers: string;
  readonly host: string;
  /** JSON; absent: none. */
  readonly body?: Buffer;
}

export type ServerAnswer =
  | { readonly kind: 'answered'; readonly status: number; readonly text: string }
  | { readonly kind: 'failed'; readonly cause: Error };

/**
 * A call of the platform's own to a user's server: a hook, the initializer, a health check. Calls back
 * once, also when the clients close; the function that it returns gives up and breaks the connection.
 */
export function callServer(
  clients: HttpClients,
  { method, path, headers, host, body }: ServerCall,
  onEnd: (answer: ServerAnswer) => void,
): () => void {
  // Not kept: a hook may be the last call before a freeze, and the connection would sleep with its server.
  const length = body?.length ?? 0;
  const head = requestHead(
    { method, url: path, rawHeaders: [] },
    headers,
    host,
    length,
    'connection: close\r\n',
  );
  const connection = clients.takeNew();
  let status = 0;
  let text = '';
  let isEnded = false;
  const end = (answer: ServerAnswer): void => {
    if (isEnded) return;
    isEnded = true;
    connection.destroy();
    onEnd(answer);
  };
  connection.send(
    { head, method, body, length, asksForUpgrade: false },
    {
      onHead(answer: AnswerHead) {
        status = answer.status;
      },
      onData(chunk: Buffer) {
        if (text.length < TEXT_BYTES_MAX) text += chunk.toString('utf8').slice(0, TEXT_BYTES_MAX);
        return true;
      },
      onEnd() {
        end({ kind: 'answered', status, text });
      },
      onLost(cause: Error) {
        end({ kind: 'failed', cause });
      },
    },
  );
  return () => end({ kind: 'failed', cause: new Error('the call was given up') });
}
