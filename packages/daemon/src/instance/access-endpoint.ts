import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { RunnableVersion } from '../model/runnable.ts';
import type { LoopbackListener } from '../sandbox/loopback-listener.ts';
import type { Sandbox, SandboxSpec } from '../sandbox/sandbox.ts';
import type { RuntimeConnection } from '../transport/runtime-connection.ts';
import type { InstanceAccess } from './instance-access.ts';
import type { RuntimeEndpoint } from './runtime-endpoint.ts';

/** Where the platform's services answer inside a sandbox; it is the runtime API's port too. */
const PORT = 9001;

/** A server of the user's own keeps the port that it wants. */
export function accessPort({ server }: Pick<RunnableVersion, 'server'>): number {
  return server?.port === PORT ? PORT + 1 : PORT;
}

/**
 * Another endpoint whose sandbox has a port of its loopback that leads to the platform's services. The socket is made
 * inside (decisions/0003), so it is this instance that connects, and nothing else of the platform is reached.
 */
export class AccessEndpoint implements RuntimeEndpoint {
  readonly #endpoint: RuntimeEndpoint;
  readonly #access: InstanceAccess;
  readonly #port: number;
  #listener: LoopbackListener | undefined;

  constructor(endpoint: RuntimeEndpoint, access: InstanceAccess, port: number) {
    this.#endpoint = endpoint;
    this.#access = access;
    this.#port = port;
  }

  get spec(): SandboxSpec {
    return { ...this.#endpoint.spec, loopbackPort: this.#port };
  }

  get bootMsMax(): number {
    return this.#endpoint.bootMsMax;
  }

  get connection(): RuntimeConnection | undefined {
    return this.#endpoint.connection;
  }

  open(): Promise<void> {
    return this.#endpoint.open();
  }

  onSandbox(sandbox: Sandbox): void {
    const { listener } = sandbox;
    if (listener === undefined)
      throw new ThawError('SANDBOX_FAILED', 'the sandbox came up without a way to the platform');
    this.#listener = listener;
    listener.accept((socket) => this.#access.accept(socket));
    this.#endpoint.onSandbox(sandbox);
  }

  async ended(): Promise<void> {
    await this.#endpoint.ended?.();
  }

  close(): void {
    this.#listener?.close();
    this.#endpoint.close();
  }
}
