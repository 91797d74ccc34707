import type { Clock } from '../../base/clock.ts';

/** Addresses that a store gives are signed for minutes at least; one that ends earlier is asked for again when it does. */
const KEPT_MS = 60_000;
const PLACES_MAX = 256;

interface Place {
  readonly url: URL;
  readonly untilMs: number;
}

/** Where a registry has sent whoever asked for a blob, so that the next part of it is asked for there at once. */
export class BlobPlaces {
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  /** In the order in which they were told. */
  readonly #places = new Map<string, Place>();

  constructor(clock: Pick<Clock, 'monotonicMs'>) {
    this.#clock = clock;
  }

  /** Undefined where the registry must be asked. */
  of(digest: string): URL | undefined {
    const place = this.#places.get(digest);
    if (place === undefined) return undefined;
    if (this.#clock.monotonicMs() < place.untilMs) return place.url;
    this.#places.delete(digest);
    return undefined;
  }

  set(digest: string, url: URL): void {
    this.#places.delete(digest);
    this.#places.set(digest, { url, untilMs: this.#clock.monotonicMs() + KEPT_MS });
    const [oldest] = this.#places.keys();
    if (oldest !== undefined && this.#places.size > PLACES_MAX) this.#places.delete(oldest);
  }

  /** Nobody gets the blob at this address any more; a newer one stays. */
  delete(digest: string, url: URL): void {
    if (this.#places.get(digest)?.url === url) this.#places.delete(digest);
  }
}
