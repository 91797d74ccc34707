import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { CallingInstance } from '../../gateway/door.ts';
import type { FunctionIdentity } from '../../gateway/function-access.ts';
import type { AccessKeys } from '../../gateway/signature/access-keys.ts';
import { readSigV4, verifySigV4, type SigV4Claim } from '../../gateway/signature/sigv4.ts';
import type { SignedRequest } from '../../gateway/signature/signed-request.ts';
import type { BucketAccess } from '../../model/function-grant.ts';

/** Who sends a request, and what of the buckets is theirs. */
export interface S3Caller {
  readonly principalId: string;
  /** Whether it is the platform's owner, whose every bucket is. */
  readonly isOwner: boolean;
  may(access: BucketAccess, bucket: string): boolean;
}

export interface S3Authentication {
  readonly caller: S3Caller;
  readonly claim: SigV4Claim;
  /** What signs the chunks of the body. */
  readonly signingKey: Buffer;
}

export interface S3Keys {
  readonly owner: AccessKeys;
  readonly identifyFunction: (
    accessKeyId: string,
    token: string,
    from: CallingInstance | undefined,
  ) => FunctionIdentity;
}

/**
 * Throws SIGNATURE_MISSING, SIGNATURE_INVALID, ACCESS_KEY_UNKNOWN, REQUEST_EXPIRED. Through an instance's own port only
 * that instance's key is good, not even the owner's: what a sandbox reaches is what its function was granted.
 */
export function authenticate(
  keys: S3Keys,
  request: SignedRequest,
  from: CallingInstance | undefined,
  nowMs: number,
): S3Authentication {
  const claim = readSigV4(request, nowMs);
  const { accessKeyId, securityToken } = claim;
  if (securityToken !== '') {
    const identity = keys.identifyFunction(accessKeyId, securityToken, from);
    return {
      caller: functionCaller(identity),
      claim,
      signingKey: verifySigV4(request, claim, identity.accessKeySecret),
    };
  }
  const secret = from === undefined ? keys.owner.secretOf(accessKeyId) : undefined;
  if (secret === undefined) {
    throw new ThawError('ACCESS_KEY_UNKNOWN', `the access key '${accessKeyId}' is not known here`);
  }
  const caller = { principalId: accessKeyId, isOwner: true, may: () => true };
  return { caller, claim, signingKey: verifySigV4(request, claim, secret) };
}

/** Throws ACCESS_DENIED, which says nothing of whether the bucket is there. */
export function requireAccess(caller: S3Caller, access: BucketAccess, bucket: string): void {
  if (caller.may(access, bucket)) return;
  throw new ThawError('ACCESS_DENIED', `the key may not ${access} bucket '${bucket}'`, {
    details: { bucket },
  });
}

export function requireOwner(caller: S3Caller, doing: string): void {
  if (caller.isOwner) return;
  throw new ThawError('ACCESS_DENIED', `only the platform's own key may ${doing}`);
}

function functionCaller({ functionName, grant }: FunctionIdentity): S3Caller {
  return {
    principalId: `function/${functionName}`,
    isOwner: false,
    may: (access, bucket) => {
      const granted = grant.buckets.get(bucket);
      return granted !== undefined && (granted === 'write' || access === 'read');
    },
  };
}
