import type { HeaderMap } from '@thaw/protocol/acs3.ts';

/** What of a request a signature can cover. */
export interface SignedRequest {
  /** Upper case. */
  readonly method: string;
  /** As on the wire, percent-encoded, without the query. */
  readonly path: string;
  /** As on the wire, without the `?`. */
  readonly query: string;
  /** By lower-case name. */
  readonly headers: HeaderMap;
}
