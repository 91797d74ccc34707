import { createHmac, createSecretKey, hash, type KeyObject } from 'node:crypto';
import {
  acs3CanonicalRequest,
  acs3StringToSign,
  EMPTY_SHA256,
  parseAcs3Authorization,
  type Acs3Authorization,
} from '@thaw/protocol/acs3.ts';
import { LIMITS } from '@thaw/protocol/limits.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Clock } from '../../base/clock.ts';
import type { AccessKeys } from './access-keys.ts';
import { isEqualText } from './equal-text.ts';
import { fcStringsToSign, parseFcAuthorization } from './fc-signature.ts';
import { NonceCache } from './nonce-cache.ts';
import type { SignedRequest } from './signed-request.ts';

const NONCE_CHARACTERS_MAX = 256;
/** Without one of these under the signature, a request could be sent elsewhere, later, again, or with another body. */
const MUST_BE_SIGNED = ['host', 'x-acs-date', 'x-acs-signature-nonce', 'x-acs-content-sha256'] as const;

export interface VerifiedHead {
  readonly accessKeyId: string;
  /** Hex SHA-256 that the body must have; the signature covers it. */
  readonly bodySha256: string;
}

/**
 * Checks who sent a request. The head is verified before a byte of the body is read, so strangers cannot make the
 * platform buffer anything; `requireBody` then holds the body against the hash that was signed.
 */
export class RequestVerifier {
  readonly #keys: AccessKeys;
  readonly #clock: Clock;
  readonly #nonces: NonceCache;
  /** Making a key object costs as much as the signature itself; the last secret is nearly always the next one. */
  #lastSecret: { readonly secret: string; readonly key: KeyObject } | undefined;

  constructor(keys: AccessKeys, clock: Clock) {
    this.#keys = keys;
    this.#clock = clock;
    this.#nonces = new NonceCache(clock, LIMITS.clockSkewMs);
  }

  /**
   * ACS3-HMAC-SHA256 as the control API demands it. Throws SIGNATURE_MISSING, SIGNATURE_INVALID, ACCESS_KEY_UNKNOWN,
   * REQUEST_EXPIRED, NONCE_REPLAYED or MISSING_HEADER.
   */
  verifyAcs3(request: SignedRequest): VerifiedHead {
    const authorization = requireAcs3Authorization(request);
    for (const name of MUST_BE_SIGNED) {
      requireHeader(request, name);
      requireSigned(authorization, name);
    }
    const contentType = request.headers['content-type'];
    if (contentType !== undefined && contentType !== '') requireSigned(authorization, 'content-type');
    const bodySha256 = requireHeader(request, 'x-acs-content-sha256').toLowerCase();
    const secret = this.#requireSecret(authorization.accessKeyId);
    this.#requireFresh(requireHeader(request, 'x-acs-date'));
    this.#requireAcs3Signature(request, authorization, bodySha256, secret);
    const nonce = requireHeader(request, 'x-acs-signature-nonce');
    if (nonce.length > NONCE_CHARACTERS_MAX) {
      throw new ThawError('INVALID_ARGUMENT', `x-acs-signature-nonce is longer than ${NONCE_CHARACTERS_MAX}`);
    }
    if (!this.#nonces.use(`${authorization.accessKeyId} ${nonce}`)) {
      throw new ThawError('NONCE_REPLAYED', 'the signature nonce was used before');
    }
    return { accessKeyId: authorization.accessKeyId, bodySha256 };
  }

  /** Throws SIGNATURE_INVALID unless the body is the one that was signed. */
  requireBody(head: VerifiedHead, body: Buffer): void {
    const actual = body.length === 0 ? EMPTY_SHA256 : hash('sha256', body);
    if (!isEqualText(actual, head.bodySha256)) {
      throw new ThawError('SIGNATURE_INVALID', 'x-acs-content-sha256 is not the hash of the request body', {
        details: { reason: 'body' },
      });
    }
  }

  /**
   * FC's own scheme, `Authorization: FC <id>:<signature>`, which has no nonce. Gives the access key id; throws like
   * `verifyAcs3`.
   */
  verifyFc(request: SignedRequest): string {
    const authorization = parseFcAuthorization(request.headers['authorization'] ?? '');
    if (authorization === undefined) throw signatureMissing();
    const secret = this.#requireSecret(authorization.accessKeyId);
    this.#requireFresh(requireHeader(request, 'date'));
    for (const text of fcStringsToSign(request)) {
      const expected = createHmac('sha256', this.#keyOf(secret)).update(text).digest('base64');
      if (isEqualText(authorization.signature, expected)) return authorization.accessKeyId;
    }
    throw signatureInvalid();
  }

  /**
   * A call on an HTTP trigger with `authType: function`, signed in either scheme. ACS3 callers of a trigger sign their
   * date and may leave out nonce and body (FC's own examples do), since bodies stream through a trigger unread.
   */
  verifyTrigger(request: SignedRequest): string {
    if (request.headers['authorization']?.startsWith('FC ') === true) return this.verifyFc(request);
    const authorization = requireAcs3Authorization(request);
    requireSigned(authorization, 'x-acs-date');
    const secret = this.#requireSecret(authorization.accessKeyId);
    this.#requireFresh(requireHeader(request, 'x-acs-date'));
    const bodySha256 = request.headers['x-acs-content-sha256'] ?? '';
    this.#requireAcs3Signature(request, authorization, bodySha256, secret);
    return authorization.accessKeyId;
  }

  #requireAcs3Signature(
    request: SignedRequest,
    authorization: Acs3Authorization,
    bodySha256: string,
    secret: string,
  ): void {
    const canonical = acs3CanonicalRequest({
      ...request,
      signedHeaders: authorization.signedHeaders,
      bodySha256,
    });
    const expected = createHmac('sha256', this.#keyOf(secret))
      .update(acs3StringToSign(hash('sha256', canonical)))
      .digest('hex');
    if (!isEqualText(authorization.signature, expected)) throw signatureInvalid();
  }

  #requireSecret(accessKeyId: string): string {
    const secret = this.#keys.secretOf(accessKeyId);
    if (secret === undefined) {
      throw new ThawError('ACCESS_KEY_UNKNOWN', `invalid access key ID '${accessKeyId}'`);
    }
    return secret;
  }

  #requireFresh(date: string): void {
    const signedAtMs = Date.parse(date);
    if (Number.isNaN(signedAtMs)) {
      throw new ThawError('INVALID_ARGUMENT', `the request's date '${date}' is not a date`);
    }
    const skewMs = Math.abs(this.#clock.now() - signedAtMs);
    const allowedMs = this.#nonces.skewAllowedMs();
    if (skewMs > allowedMs) {
      throw new ThawError(
        'REQUEST_EXPIRED',
        `the request was signed ${Math.round(skewMs / 1000)} seconds away from the platform's clock; at most ${Math.floor(allowedMs / 1000)} are allowed`,
      );
    }
  }

  #keyOf(secret: string): KeyObject {
    if (this.#lastSecret?.secret !== secret) {
      this.#lastSecret = { secret, key: createSecretKey(secret, 'utf8') };
    }
    return this.#lastSecret.key;
  }
}

function requireAcs3Authorization(request: SignedRequest): Acs3Authorization {
  const value = request.headers['authorization'];
  if (value === undefined || value === '') throw signatureMissing();
  const authorization = parseAcs3Authorization(value);
  if (authorization === undefined) {
    throw new ThawError(
      'SIGNATURE_INVALID',
      'the Authorization header is not of the form "ACS3-HMAC-SHA256 Credential=…,SignedHeaders=…,Signature=…"',
      { details: { reason: 'form' } },
    );
  }
  return authorization;
}

function requireHeader(request: SignedRequest, name: string): string {
  const value = request.headers[name];
  if (value === undefined || value === '') {
    throw new ThawError('MISSING_HEADER', `required HTTP header ${name} was not specified`);
  }
  return value;
}

function requireSigned(authorization: Acs3Authorization, name: string): void {
  if (!authorization.signedHeaders.includes(name)) {
    throw new ThawError('SIGNATURE_INVALID', `the header ${name} must be among the signed headers`, {
      details: { reason: 'unsigned-header' },
    });
  }
}

function signatureMissing(): ThawError {
  return new ThawError('SIGNATURE_MISSING', 'required HTTP header Authorization was not specified');
}

function signatureInvalid(): ThawError {
  return new ThawError(
    'SIGNATURE_INVALID',
    'The request signature we calculated does not match the signature you provided. Check your access key and signing method',
  );
}
