import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import type { Sandbox, SandboxSpec } from '../sandbox.ts';
import type { Sandboxes } from '../sandboxes.ts';
import { waitFor } from './contract-waits.ts';

export const MEGABYTE = 1024 * 1024;
export const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export interface Started {
  readonly sandbox: Sandbox;
  /** What has been written so far. */
  readonly seen: (stream: 'stdout' | 'stderr') => string;
  /** All that was written, once every process has let go of the stream. */
  readonly output: (stream: 'stdout' | 'stderr') => Promise<string>;
}

/** One platform's sandboxes and the listener that takes their output. */
export class ContractWorld {
  readonly sandboxes: Sandboxes;
  readonly outputSocket: string;
  connections = 0;
  readonly #server: Server;
  readonly #spec: Partial<SandboxSpec>;
  readonly #outputs = new Map<string, { text: string; isEnded: boolean }>();
  #nextId = 1;
  #open = 0;

  constructor(sandboxes: Sandboxes, directory: string, spec: Partial<SandboxSpec>) {
    this.sandboxes = sandboxes;
    this.#spec = spec;
    this.outputSocket = join(directory, 'out.sock');
    this.#server = createServer((socket) => {
      this.connections++;
      this.#open++;
      let text = '';
      const output = { text: '', isEnded: false };
      socket.setEncoding('utf8');
      socket.on('data', (chunk: string) => {
        text += chunk;
        const [name = ''] = text.split('\n', 1);
        output.text = text.slice(name.length + 1);
        this.#outputs.set(name, output);
      });
      socket.on('error', () => undefined);
      socket.on('close', () => {
        this.#open--;
        output.isEnded = true;
      });
    });
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#server.listen(this.outputSocket, resolve);
    });
  }

  openConnections(): number {
    return this.#open;
  }

  lacks(what: string): string | undefined {
    return this.sandboxes.driver.shortcomings.find((text) => text.includes(what));
  }

  async start(command: readonly [string, ...string[]], changes: Partial<SandboxSpec> = {}): Promise<Started> {
    const spec: SandboxSpec = {
      id: `s${this.#nextId++}`,
      command,
      environment: { PATH },
      workingDirectory: '/',
      mounts: [],
      memoryBytesMax: 256 * MEGABYTE,
      cpu: 1,
      cpuShare: 512,
      processesMax: 64,
      temporaryBytesMax: 64 * MEGABYTE,
      network: 'none',
      outputSocket: this.outputSocket,
      ...this.#spec,
      ...changes,
    };
    const sandbox = await this.sandboxes.driver.start(spec);
    const output = (stream: string): { text: string; isEnded: boolean } | undefined =>
      this.#outputs.get(`${stream} ${spec.id}`);
    return {
      sandbox,
      seen: (stream) => output(stream)?.text ?? '',
      output: async (stream) => {
        await waitFor(`the end of ${stream}`, () => output(stream)?.isEnded === true);
        return output(stream)?.text ?? '';
      },
    };
  }

  async close(): Promise<void> {
    await this.sandboxes.close();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
