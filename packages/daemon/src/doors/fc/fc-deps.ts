import type { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Clock } from '../../base/clock.ts';
import type { ProvisionStatus } from '../../catalog/provisioning.ts';
import type { Catalog } from '../../catalog/catalog.ts';
import type { UploadStore } from '../../catalog/upload-store.ts';
import type { ImageState } from '../../image/image-store.ts';
import type { RequestVerifier } from '../../gateway/signature/request-verifier.ts';
import type { SignedTokens } from '../../gateway/signature/signed-token.ts';
import type { AsyncInvocations } from '../../invocation/async/async-invocations.ts';
import type { ControlRequest } from './control-request.ts';

/** One running or lately destroyed instance, as ListInstances shows it. */
export interface InstanceListing {
  readonly instanceId: string;
  readonly qualifier: string;
  readonly versionId: string;
  readonly status: string;
  readonly createdTimeMs: number;
  readonly destroyedTimeMs?: number;
}

/** What the API shows of asynchronous invocations, and does to them. */
export type AsyncTasks = Pick<AsyncInvocations, 'list' | 'require' | 'stopTask' | 'wholeBytes'>;

export interface FcDeps {
  readonly catalog: Catalog;
  readonly verifier: RequestVerifier;
  readonly tokens: SignedTokens;
  readonly uploads: UploadStore;
  readonly asyncTasks: AsyncTasks;
  /** The file of a zip by its digest, or undefined when there is none. */
  readonly zipPath: (zipDigest: string) => string | undefined;
  readonly clock: Clock;
  /** `http://host:port` under which clients reach the platform; else what each request's Host header says. */
  readonly publicUrl: string | undefined;
  readonly listInstances: (functionName: string) => readonly InstanceListing[];
  /** How far the provisioned instances of a function and qualifier have come. */
  readonly provisionStatus: (functionName: string, qualifier: string) => ProvisionStatus;
  /** How far an image is that a version runs from, by its digest. */
  readonly imageState: (digest: string) => ImageState;
  /** Ends what runs of a function that was disabled with `abortOngoingRequest`. */
  readonly abortInvocations: (functionName: string) => void;
  /** Told of failures that are the platform's own, for the log. */
  readonly onPlatformError: (error: ThawError, requestId: string) => void;
}

/** The address that URLs in an answer start with. */
export function publicUrlOf(deps: FcDeps, request: ControlRequest): string {
  return deps.publicUrl ?? `http://${request.headers['host'] ?? 'localhost'}`;
}
