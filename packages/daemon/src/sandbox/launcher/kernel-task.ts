import type { NetworkNames } from '../network/network-calls.ts';

/** What the launcher's second thread is asked to do. */
export type KernelTask =
  /** Answers with the open files of the namespaces, in order; makes all or none. */
  | { readonly type: 'makeNetworks'; readonly networks: readonly NetworkNames[] }
  | { readonly type: 'closeWayOut'; readonly namespace: number }
  | {
      readonly type: 'deleteNetworks';
      readonly interfaces: readonly string[];
      readonly namespaces: readonly number[];
      readonly group: number;
    }
  /** Unmounts the first ones and removes the others. */
  | {
      readonly type: 'removePlaces';
      readonly mounted: readonly string[];
      readonly directories: readonly string[];
    };

export interface KernelRequest {
  readonly request: number;
  readonly task: KernelTask;
}

export interface KernelAnswer {
  readonly request: number;
  readonly failure: string | undefined;
  readonly namespaces: readonly number[];
}

/** Comes first, once: why the thread can do nothing, or undefined. */
export interface KernelOpened {
  readonly unusable: string | undefined;
}
