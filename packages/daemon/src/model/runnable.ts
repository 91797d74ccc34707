import type { LifecycleHook } from './function.ts';

/** A language family: what decides which shim and which interpreter an instance runs. */
export type RuntimeFamily = 'nodejs' | 'python3';

/**
 * One version of one function with everything resolved that running it takes: the only thing that the invocation path
 * knows of a function. Made once when a record changes, never per request.
 */
export interface RunnableVersion {
  /** `<function>@<revision>`: instances are shared among requests with equal keys only. */
  readonly key: string;
  readonly functionName: string;
  readonly versionId: string;
  readonly family: RuntimeFamily;
  /** As configured, e.g. `nodejs20` or `python3.10`. */
  readonly runtime: string;
  readonly handler: string;
  readonly handlerType: 'auto' | 'event' | 'http';
  readonly initializer: LifecycleHook | undefined;
  /** Called only where they are configured. */
  readonly hooks: {
    readonly preFreeze: LifecycleHook | undefined;
    readonly preStop: LifecycleHook | undefined;
    readonly postThaw: LifecycleHook | undefined;
  };
  /** Idle for so long, an instance is frozen; undefined: never. */
  readonly freezeAfterMs: number | undefined;
  readonly timeoutMs: number;
  readonly memoryMb: number;
  /** Cores at most, where the function says so. Memory decides the share of the CPU when it is scarce. */
  readonly cpu: number | undefined;
  readonly diskMb: number;
  readonly instanceConcurrency: number;
  readonly environment: Readonly<Record<string, string>>;
  readonly internetAccess: boolean;
  /** Directory on the host with the unpacked code; immutable. */
  readonly codeDirectory: string;
  /** Directory with the merged layers, or undefined when there are none; immutable. */
  readonly layerDirectory: string | undefined;
  readonly codeChecksum: string;
  readonly logProject: string;
  readonly logStore: string;
}
