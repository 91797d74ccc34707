import type { Dispatcher } from 'undici';
import type { HttpClients } from './http-clients.ts';

/** Of an answer's body, what is kept to say what went wrong. */
const TEXT_BYTES_MAX = 4 * 1024;

export interface ServerCall {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly headers: readonly string[];
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
  call: ServerCall,
  onEnd: (answer: ServerAnswer) => void,
): () => void {
  const taken = clients.take();
  let controller: Dispatcher.DispatchController | undefined;
  let status = 0;
  let text = '';
  let isEnded = false;
  const end = (answer: ServerAnswer): void => {
    if (isEnded) return;
    isEnded = true;
    clients.giveBack(taken);
    onEnd(answer);
  };
  taken.client.dispatch(
    // Not kept: a hook may be the last call before a freeze, and the connection would sleep with its server.
    {
      method: call.method,
      path: call.path,
      headers: [...call.headers],
      body: call.body ?? null,
      reset: true,
    },
    {
      onRequestStart(started) {
        controller = started;
        taken.carried += 1;
        if (isEnded) started.abort(new Error('the call was given up'));
      },
      onResponseStart(_controller, code) {
        status = code;
      },
      onResponseData(_controller, chunk) {
        if (text.length < TEXT_BYTES_MAX) text += chunk.toString('utf8').slice(0, TEXT_BYTES_MAX);
      },
      onResponseEnd() {
        end({ kind: 'answered', status, text });
      },
      onResponseError(_controller, cause) {
        end({ kind: 'failed', cause });
      },
    },
  );
  return () => {
    const cause = new Error('the call was given up');
    controller?.abort(cause);
    end({ kind: 'failed', cause });
  };
}
