import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/**
 * What one instance is given of the platform's own services (its buckets), from its start to its end. It exists only for
 * functions that were granted something: for all others there is no port, no credential and no cost.
 */
export interface InstanceAccess {
  /** The platform's own address, for processes without a network of their own; it is known once the platform listens. */
  readonly platformUrl: Promise<string>;
  /** The credentials and addresses for its environment; `url` is where the services answer. */
  variables(url: string, environment: Readonly<Record<string, string>>): Readonly<Record<string, string>>;
  /** Whether a request to this path is for a service of the platform. */
  owns(method: string, path: string): boolean;
  handle(request: IncomingMessage, response: ServerResponse): void;
  /** Serves HTTP on a connection that comes from the instance and from nobody else. */
  accept(socket: Socket): void;
  /** The credentials are void and every connection is closed. */
  close(): void;
}
