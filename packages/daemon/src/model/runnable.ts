import type { HealthCheck, HotFormat, LifecycleHook, RegistryConfig, ResolvedImage } from './function.ts';
import type { SessionAffinity } from './session-affinity.ts';

/** A language that has a shim of ours. */
export type ShimFamily = 'nodejs' | 'python3' | 'java';

/**
 * What decides how an instance is started and reached: `custom` is a web server of the user's own, `hot` a program on stdin
 * and stdout, `action` an OpenWhisk-style action container.
 */
export type RuntimeFamily = ShimFamily | 'custom' | 'hot' | 'action';

/** The web server of a `custom` runtime. */
export interface ServerConfig {
  /** Program and arguments; paths below `/code` are the function's own files. */
  readonly command: readonly [string, ...string[]];
  readonly port: number;
  readonly healthCheck: HealthCheck | undefined;
  /** Whether the program may poll a runtime API instead of serving: it may where its configuration names no port. */
  readonly mayPoll: boolean;
}

/** The program of a `hot` runtime. */
export interface HotConfig {
  readonly command: readonly [string, ...string[]];
  readonly format: HotFormat;
}

/** What runs an image where the function says so; `default` is the platform's own driver. */
export type ContainerIsolation = 'default' | 'runc' | 'runsc';

/** The image of a `custom-container` function. */
export interface ContainerConfig extends ResolvedImage {
  readonly registry: RegistryConfig;
  readonly isolation: ContainerIsolation;
  /** How its files come: as needed, all ahead, or all before the start. */
  readonly acceleration: 'lazy' | 'eager' | 'none';
}

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
  /** Present exactly for runtime `custom-container`: the files that it runs from, instead of the host's and its code. */
  readonly container: ContainerConfig | undefined;
  /** Present exactly for the families `custom` and `action`. */
  readonly server: ServerConfig | undefined;
  /** Present exactly for family `hot`. */
  readonly hot: HotConfig | undefined;
  readonly initializer: LifecycleHook | undefined;
  /** Called only where they are configured. */
  readonly hooks: {
    readonly preFreeze: LifecycleHook | undefined;
    readonly preStop: LifecycleHook | undefined;
    readonly postThaw: LifecycleHook | undefined;
  };
  /** Idle for so long, an instance is frozen; undefined: never. */
  readonly freezeAfterMs: number | undefined;
  /** Whether inputs are kept, so that an invocation can be run again. */
  readonly recordsInputs: boolean;
  /** Of the function at most so many instances; undefined: the platform's limit for functions. */
  readonly instancesMax: number | undefined;
  /** Not used for so long, an instance is stopped; undefined: the platform's default. */
  readonly idleMsMax: number | undefined;
  /** Undefined: any instance serves any request. */
  readonly sessionAffinity: SessionAffinity | undefined;
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
  /** Directory with V8's compile cache for the code, or Java's archive of it, where one was prepared; immutable. */
  readonly compileCacheDirectory?: string | undefined;
  readonly codeChecksum: string;
  readonly logProject: string;
  readonly logStore: string;
}
