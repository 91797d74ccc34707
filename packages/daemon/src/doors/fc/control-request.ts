import type { Readable } from 'node:stream';
import type { HeaderMap } from '@thaw/protocol/acs3.ts';

/** A request on the control API, free of sockets. */
export interface ControlRequest {
  /** Upper case. */
  readonly method: string;
  /** As on the wire, percent-encoded, without the query. */
  readonly path: string;
  /** As on the wire, without the `?`. */
  readonly query: string;
  /** By lower-case name. */
  readonly headers: HeaderMap;
  readonly body: Buffer | Readable;
  readonly requestId: string;
}

export interface ControlResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** A stream is a code package being downloaded: whoever sends it destroys it when the client is gone. */
  readonly body: Buffer | string | Readable;
}
