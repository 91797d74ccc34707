import { mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { KernelThread } from '../launcher/kernel-thread.ts';
import type { Network, NetworkMaker } from './network-maker.ts';

/**
 * Networks made by a thread of the launcher. Their namespaces have no names on the machine: open files of the launcher
 * keep them, and links to those files are in a directory of its own. So they end with the launcher, however it ends.
 */
export class ThreadedNetworks implements NetworkMaker {
  /** Small, so that those who wait go on one after the other. */
  readonly batchMax = 4;
  readonly directory: string;
  readonly #thread: KernelThread;
  readonly #group: number;
  readonly #namespaces = new Map<string, number>();

  /** `group` is a number for interfaces that nobody else gives to his. `directory` is this object's own. */
  constructor(thread: KernelThread, directory: string, group: number) {
    this.#thread = thread;
    this.directory = directory;
    this.#group = group;
    rmSync(directory, { recursive: true, force: true });
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  }

  async make(networks: readonly Network[]): Promise<void> {
    const names = networks.map(({ hostInterface, hostAddress, sandboxAddress }) => ({
      hostInterface,
      hostAddress,
      sandboxAddress,
    }));
    const namespaces = await this.#thread.perform({ type: 'makeNetworks', networks: names });
    for (const [index, { name }] of networks.entries()) {
      const namespace = namespaces[index];
      if (namespace === undefined) throw new Error(`network ${name} was not made`);
      this.#namespaces.set(name, namespace);
      symlinkSync(`/proc/${process.pid}/fd/${namespace}`, join(this.directory, name));
    }
  }

  async closeWayOut({ name }: Network): Promise<void> {
    const namespace = this.#namespaces.get(name);
    if (namespace === undefined) throw new Error(`network ${name} is gone`);
    await this.#thread.perform({ type: 'closeWayOut', namespace });
  }

  async delete(networks: readonly Network[]): Promise<void> {
    const interfaces = networks.map(({ hostInterface }) => hostInterface);
    const namespaces: number[] = [];
    for (const { name } of networks) {
      const namespace = this.#namespaces.get(name);
      this.#namespaces.delete(name);
      if (namespace !== undefined) namespaces.push(namespace);
      rmSync(join(this.directory, name), { force: true });
    }
    await this.#thread
      .perform({ type: 'deleteNetworks', interfaces, namespaces, group: this.#group })
      .catch(() => undefined);
  }
}
