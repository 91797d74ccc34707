import { lookup, type LookupAddress, type LookupOptions } from 'node:dns';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP } from 'node:net';
import { isAllowedHost, isOuterAddress } from './url-guard.ts';

/** What came of one attempt to hand an outcome on. */
export type Delivery =
  | { readonly kind: 'delivered' }
  /** Another attempt would end the same way. */
  | { readonly kind: 'refused'; readonly reason: string }
  /** `isSilent`: nobody answered at all, so nobody will answer others either. */
  | { readonly kind: 'later'; readonly reason: string; readonly isSilent: boolean };

export interface PostOptions {
  readonly allowedHosts: ReadonlySet<string>;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** The same with every attempt: receivers know repetitions by it. */
  readonly idempotencyKey: string;
}

class NotAllowed extends Error {}

/** POSTs an event. 2xx is delivered; nothing is followed. Never rejects. */
export function postEvent(url: URL, event: Buffer, options: PostOptions): Promise<Delivery> {
  const { timeoutMs, signal, idempotencyKey } = options;
  const isAllowed = isAllowedHost(url, options.allowedHosts);
  const host = url.hostname.replace(/^\[|\]$/g, '');
  if (!isAllowed && isIP(host) !== 0 && !isOuterAddress(host)) {
    return Promise.resolve(notAllowed(url));
  }
  const request = url.protocol === 'https:' ? httpsRequest : httpRequest;
  return new Promise((resolve) => {
    const outgoing = request(url, {
      method: 'POST',
      agent: false,
      headers: {
        'content-type': 'application/json',
        'content-length': event.length,
        'idempotency-key': idempotencyKey,
      },
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
      // The address that is judged is the one that is connected to.
      lookup: isAllowed ? lookup : lookupOuter,
    });
    outgoing.once('response', (answer) => {
      resolve(deliveryOf(answer.statusCode ?? 0));
      // The answer's body says nothing more.
      answer.destroy();
    });
    outgoing.on('error', (error) => {
      if (error instanceof NotAllowed) resolve(notAllowed(url));
      else resolve({ kind: 'later', reason: `no answer: ${error.message}`, isSilent: true });
    });
    outgoing.end(event);
  });
}

function deliveryOf(status: number): Delivery {
  if (status >= 200 && status < 300) return { kind: 'delivered' };
  const reason = `answered with HTTP status ${status}`;
  const isPassing = status >= 500 || status === 408 || status === 425 || status === 429;
  return isPassing ? { kind: 'later', reason, isSilent: false } : { kind: 'refused', reason };
}

function notAllowed(url: URL): Delivery {
  return {
    kind: 'refused',
    reason: `${url.host} is an inner address; the operator allows it with thaw serve --destination-hosts`,
  };
}

type Looked = (error: Error | null, address: string | LookupAddress[], family?: number) => void;

function lookupOuter(hostname: string, options: LookupOptions, callback: Looked): void {
  lookup(hostname, { ...options, all: true }, (error, addresses) => {
    if (error !== null) {
      callback(error, []);
      return;
    }
    const [first] = addresses;
    if (first === undefined || !addresses.every(({ address }) => isOuterAddress(address))) {
      callback(new NotAllowed(), []);
    } else if (options.all === true) {
      callback(null, addresses);
    } else {
      callback(null, first.address, first.family);
    }
  });
}
