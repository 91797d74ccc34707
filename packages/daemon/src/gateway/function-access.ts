import type { Socket } from 'node:net';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { InstanceAccess } from '../instance/instance-access.ts';
import { grantsNothing, type FunctionGrant } from '../model/function-grant.ts';
import type { RunnableVersion } from '../model/runnable.ts';
import type { CallingInstance } from './door.ts';
import type { FunctionEndpoint } from './function-endpoint.ts';
import type { SignedTokens } from './signature/signed-token.ts';

const PURPOSE = 'function access';
/** A token is void when its instance ends, which is what bounds its life; this only has to be longer. */
const TOKEN_LIFETIME_MS = 10 * 365 * 86_400_000;

export interface FunctionAccessDeps {
  readonly tokens: SignedTokens;
  /** What the version may use now: asked for every request, so that what is taken away is gone at once. */
  readonly grantOf: (runnable: RunnableVersion) => FunctionGrant;
  readonly endpoint: FunctionEndpoint;
  /** Known once the platform listens. */
  readonly platformUrl: Promise<string>;
  readonly region: string;
}

/** A function that has shown its credentials. */
export interface FunctionIdentity extends CallingInstance {
  readonly accessKeySecret: string;
  readonly grant: FunctionGrant;
}

/**
 * Temporary credentials of instances: a key, a secret, and a token signed by the platform that names function and
 * instance. They are good while the instance lives and for what its function is granted at that moment.
 */
export class FunctionAccess {
  readonly #deps: FunctionAccessDeps;
  readonly #instances = new Map<string, RunnableVersion>();

  constructor(deps: FunctionAccessDeps) {
    this.#deps = deps;
  }

  /** Undefined for a function that is granted nothing. */
  open(runnable: RunnableVersion, instanceId: string): InstanceAccess | undefined {
    const { endpoint, platformUrl, grantOf, region } = this.#deps;
    if (grantsNothing(grantOf(runnable))) return undefined;
    this.#instances.set(instanceId, runnable);
    const from: CallingInstance = { functionName: runnable.functionName, instanceId };
    const token = this.#deps.tokens.sign(PURPOSE, `${from.functionName}/${instanceId}`, TOKEN_LIFETIME_MS);
    const key = { id: keyIdOf(instanceId), secret: this.#secretOf(token), token };
    const sockets = new Set<Socket>();
    return {
      platformUrl,
      variables: (url, environment) => accessVariables(url, region, key, environment),
      owns: (method, path) => endpoint.owns(method, path),
      handle: (request, response) => endpoint.handle(request, response, from),
      accept: (socket) => {
        sockets.add(socket);
        socket.once('close', () => sockets.delete(socket));
        endpoint.accept(socket, from);
      },
      close: () => {
        this.#instances.delete(instanceId);
        for (const socket of sockets) socket.destroy();
      },
    };
  }

  /** Whether the instance was given a way in. */
  isOpen(instanceId: string): boolean {
    return this.#instances.has(instanceId);
  }

  /**
   * Whose this key id and token are. A request that came through an instance's own port must be that instance's. Throws
   * ACCESS_KEY_UNKNOWN.
   */
  identify(accessKeyId: string, token: string, from: CallingInstance | undefined): FunctionIdentity {
    const [functionName = '', instanceId = ''] = (this.#deps.tokens.open(PURPOSE, token) ?? '').split('/');
    const runnable = this.#instances.get(instanceId);
    const isOwn = from === undefined || from.instanceId === instanceId;
    if (runnable === undefined || accessKeyId !== keyIdOf(instanceId) || !isOwn) {
      throw new ThawError(
        'ACCESS_KEY_UNKNOWN',
        `the access key '${accessKeyId}' is not known here, or its instance has ended`,
      );
    }
    const grant = this.#deps.grantOf(runnable);
    return { functionName, instanceId, accessKeySecret: this.#secretOf(token), grant };
  }

  /** The same for a caller that shows its token alone, which is good through its instance's own port. */
  identifyToken(token: string, from: CallingInstance): FunctionIdentity {
    return this.identify(keyIdOf(from.instanceId), token, from);
  }

  #secretOf(token: string): string {
    return this.#deps.tokens.derive('function access secret', token);
  }
}

function keyIdOf(instanceId: string): string {
  return `STS.${instanceId}`;
}

/**
 * The variables that SDKs look for. Credentials that the user has configured stay whole: half of one key with half of
 * another would be good for nothing.
 */
function accessVariables(
  url: string,
  region: string,
  key: { readonly id: string; readonly secret: string; readonly token: string },
  environment: Readonly<Record<string, string>>,
): Record<string, string> {
  const s3 = `${url}/s3`;
  const hasOwn = (prefix: string): boolean =>
    Object.keys(environment).some((name) => name.startsWith(prefix) && name.includes('ACCESS_KEY'));
  return {
    THAW_ENDPOINT: url,
    THAW_S3_ENDPOINT: s3,
    THAW_ACCESS_KEY_ID: key.id,
    THAW_ACCESS_KEY_SECRET: key.secret,
    THAW_SECURITY_TOKEN: key.token,
    ...(hasOwn('ALIBABA_CLOUD_')
      ? {}
      : {
          ALIBABA_CLOUD_ACCESS_KEY_ID: key.id,
          ALIBABA_CLOUD_ACCESS_KEY_SECRET: key.secret,
          ALIBABA_CLOUD_SECURITY_TOKEN: key.token,
        }),
    ...(hasOwn('AWS_') || 'AWS_ENDPOINT_URL_S3' in environment
      ? {}
      : {
          AWS_ACCESS_KEY_ID: key.id,
          AWS_SECRET_ACCESS_KEY: key.secret,
          AWS_SESSION_TOKEN: key.token,
          AWS_ENDPOINT_URL_S3: s3,
          AWS_REGION: environment['AWS_REGION'] ?? region,
        }),
  };
}
