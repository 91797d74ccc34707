import type { Image } from './image.ts';

/**
 * What a function is, in the resource model of Function Compute 3.0: field names and units are the API's own, so that
 * a stored record, an API answer and a log line speak of the same thing. Unset optional fields are absent.
 */

/** Name of the mutable version. Published ones are decimal numbers from 1. */
export const LATEST = 'LATEST';

export interface LifecycleHook {
  readonly handler: string;
  /** Seconds. */
  readonly timeout: number;
}

export interface InstanceLifecycleConfig {
  readonly initializer?: LifecycleHook;
  readonly preFreeze?: LifecycleHook;
  readonly preStop?: LifecycleHook;
  readonly postThaw?: LifecycleHook;
}

/** Seconds, and counts of probes in a row. */
export interface HealthCheck {
  /** Path and query, e.g. `/health`. */
  readonly httpGetUrl: string;
  readonly initialDelaySeconds: number;
  readonly periodSeconds: number;
  readonly timeoutSeconds: number;
  readonly failureThreshold: number;
  readonly successThreshold: number;
}

export interface CustomRuntimeConfig {
  readonly command: readonly string[];
  readonly args: readonly string[];
  /** Absent where the client named none: then the program may also poll a runtime API. */
  readonly port?: number;
  readonly healthCheckConfig?: HealthCheck;
}

/** `http`: requests and responses one after the other on stdin and stdout; `default`: a process for each request. */
export type HotFormat = 'http' | 'default';

/** IronFunctions' settings of a route, for runtime `hot`. */
export interface HotFunctionConfig {
  readonly format: HotFormat;
  /** Processes at most. */
  readonly maxConcurrency: number;
  /** Seconds without a request after which a process is ended. */
  readonly idleTimeout: number;
}

/** The image of a `custom-container` function, and what to run of it. */
export interface CustomContainerConfig {
  /** As the user wrote it. */
  readonly image: string;
  readonly command?: readonly string[];
  readonly entrypoint?: readonly string[];
  readonly args?: readonly string[];
  readonly port?: number;
  readonly healthCheckConfig?: HealthCheck;
  readonly registryConfig?: RegistryConfig;
  /** An OpenWhisk-style action container instead of a web server. */
  readonly actionContainer?: boolean;
  readonly acrInstanceId?: string;
  readonly accelerationType?: string;
}

export interface RegistryConfig {
  readonly authConfig?: { readonly userName?: string; readonly password?: string };
  readonly certConfig?: { readonly insecure?: boolean; readonly rootCaCertBase64?: string };
  readonly networkConfig?: unknown;
}

export interface Tag {
  readonly Key: string;
  readonly Value: string;
}

/** What a user configures. Every default is filled in when the record is made, so readers never guess. */
export interface FunctionConfig {
  readonly functionName: string;
  readonly description: string;
  readonly runtime: string;
  readonly handler: string;
  /** MB. */
  readonly memorySize: number;
  /** Cores at most. Absent: no cap; memory buys the share of the CPU when it is scarce. */
  readonly cpu?: number;
  /** MB of the instance's private `/tmp`. */
  readonly diskSize: number;
  /** Seconds. */
  readonly timeout: number;
  readonly instanceConcurrency: number;
  readonly environmentVariables: Readonly<Record<string, string>>;
  /** Layer version ARNs, the first one wins where files clash. */
  readonly layers: readonly string[];
  readonly internetAccess: boolean;
  readonly instanceLifecycleConfig: InstanceLifecycleConfig;
  /** Present where the client gave one. */
  readonly customRuntimeConfig?: CustomRuntimeConfig;
  /** Present exactly for runtime `custom-container`. */
  readonly customContainerConfig?: CustomContainerConfig;
  /** Present where the client gave one. */
  readonly hotConfig?: HotFunctionConfig;
  /**
   * Configuration that is accepted, kept and given back but does not change how the function runs here (`role`,
   * `logConfig`, `vpcConfig`, …): a client that reads back what it wrote finds it.
   */
  readonly passthrough: Readonly<Record<string, unknown>>;
}

/** Where the code is. `zipDigest` (hex SHA-256) names the blob with the zip as uploaded. */
export interface CodeRef {
  readonly zipDigest: string;
  /** Bytes of the zip. */
  readonly size: number;
  /** Decimal CRC-64/XZ of the zip, as FC reports it. */
  readonly checksum: string;
}

/** An image by its digest, so that a version runs the same whatever becomes of its tag. */
export interface ResolvedImage {
  /** `registry/repository@digest`. */
  readonly uri: string;
  readonly image: Image;
}

/** One version of a function: config and code that never change once published. */
export interface FunctionVersion {
  readonly config: FunctionConfig;
  readonly code: CodeRef;
  /** What the image's name meant when the version was made. Present exactly for runtime `custom-container`. */
  readonly image?: ResolvedImage;
  /** `LATEST` or a decimal number. */
  readonly versionId: string;
  /** Changes whenever config or code of this version do: instances of another revision serve no new request. */
  readonly revision: string;
  readonly description: string;
  /** ISO 8601 in seconds, UTC. */
  readonly createdTime: string;
  readonly lastModifiedTime: string;
}

export interface FunctionRecord {
  readonly functionId: string;
  readonly latest: FunctionVersion;
  readonly tags: readonly Tag[];
  readonly createdTime: string;
  /** Version numbers are never used again, even after the version was deleted. */
  readonly lastVersionNumber: number;
  /** Set while invocations are refused (`invoke/disable`). */
  readonly disabledReason?: string;
}

export interface Alias {
  readonly functionName: string;
  readonly aliasName: string;
  readonly versionId: string;
  readonly description: string;
  /** Share of traffic by further version, each in 0..1 and together at most 1; the rest goes to `versionId`. */
  readonly additionalVersionWeight: Readonly<Record<string, number>>;
  readonly createdTime: string;
  readonly lastModifiedTime: string;
}

export interface Layer {
  readonly layerName: string;
  readonly version: number;
  readonly description: string;
  readonly license: string;
  readonly compatibleRuntime: readonly string[];
  readonly code: CodeRef;
  /** 0 private, 1 public. */
  readonly acl: number;
  readonly createTime: string;
}
