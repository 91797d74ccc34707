/** One network of a sandbox's own, by what names it on this machine. */
export interface Network {
  readonly index: number;
  readonly name: string;
  readonly hostInterface: string;
  readonly hostAddress: string;
  readonly sandboxAddress: string;
}

/**
 * How networks come about.
 *
 * 1. `make` makes all of them or rejects, and then what is left of them is to be deleted.
 * 2. Inside there is a loopback, the one end of a pair of interfaces with the sandbox's address and a route by way of the
 *    other end, and no IPv6; every port is free for everybody.
 * 3. `delete` takes the host's end away before it settles, and never rejects: what is gone is gone.
 */
export interface NetworkMaker {
  /** Made together at once; more wait for the next round. */
  readonly batchMax: number;
  /** Holds the file of each network, by its name. */
  readonly directory: string;
  make(networks: readonly Network[]): Promise<void>;
  closeWayOut(network: Network): Promise<void>;
  delete(networks: readonly Network[]): Promise<void>;
}
