import type { Client } from 'pg';
import { LogicalReplicationService, PgoutputPlugin, type Pgoutput } from 'pg-logical-replication';
import { atMost } from '../pause.ts';
import { formatLsn, parseLsn } from './lsn.ts';
import { GOODBYE_MS_MAX, replicationConfig } from './postgres-address.ts';
import type { PostgresTypes } from './postgres-types.ts';

/** How often the server is told that we are there, also while the stream is held up. It waits for 60 s. */
const STATUS_MS = 10_000;
/** The server answers each status; a connection without any sign for so long is dead. */
const SILENCE_MS_MAX = 60_000;

export type PostgresMessage = Pgoutput.Message;

export interface ReplicationStreamOptions {
  readonly url: string;
  readonly name: string;
  readonly from: bigint;
  /** Up to where everything was taken; the server may forget what is before it. */
  readonly reached: bigint;
  readonly types: PostgresTypes;
  onStart(): void;
  /** The next message is not taken, and in the end not sent, before this resolves. */
  onMessage(message: PostgresMessage): Promise<void> | void;
  /** Everything up to here was sent and taken. */
  onIdle(lsn: bigint): void;
}

/** One connection that brings the changes of one slot, in order of their commits. */
export class ReplicationStream {
  readonly #options: ReplicationStreamOptions;
  readonly #service: LogicalReplicationService;
  readonly #plugin: JsonPlugin;
  readonly #ended = Promise.withResolvers<never>();
  #reached: bigint;
  #handled = 0;
  #hasFailed = false;
  #seenMs = performance.now();
  #status: NodeJS.Timeout | undefined;

  constructor(options: ReplicationStreamOptions) {
    this.#options = options;
    this.#reached = options.reached;
    this.#plugin = new JsonPlugin(options.name, options.types, (error) => this.#fail(error));
    this.#service = new LogicalReplicationService(replicationConfig(options.url), {
      // The library would acknowledge what it has received; we acknowledge what the function has taken.
      acknowledge: { auto: false, timeoutSeconds: 0 },
      flowControl: { enabled: true },
    });
    this.#ended.promise.catch(() => undefined);
  }

  /** Reads until the connection ends, which rejects with the reason, or until `close`. */
  async read(): Promise<void> {
    const service = this.#service;
    service.on('error', (error: Error) => this.#fail(error));
    service.on('start', () => {
      this.#options.onStart();
      this.#status = setInterval(() => this.#onStatusDue(), STATUS_MS);
    });
    service.on('data', async (_lsn: string, message: PostgresMessage) => {
      // What stands behind a message that failed must not be taken for all that there was.
      if (this.#hasFailed) return;
      try {
        await this.#options.onMessage(message);
        this.#handled += 1;
      } catch (error) {
        this.#fail(error);
      }
    });
    service.on('heartbeat', (lsn: string, _time: number, mustAnswer: boolean) => {
      this.#seenMs = performance.now();
      // The library tells a heartbeat at once, while messages before it may still wait in its queue.
      if (this.#plugin.received === this.#handled) this.#options.onIdle(parseLsn(lsn));
      if (mustAnswer) this.#tell(false);
    });
    const reading = service.subscribe(this.#plugin, this.#options.name, formatLsn(this.#options.from));
    // Once it was closed nobody waits for how the connection ends.
    reading.catch(() => undefined);
    await Promise.race([reading, this.#ended.promise]);
  }

  /** The server may forget what is before this. */
  acknowledge(lsn: bigint): void {
    if (lsn <= this.#reached) return;
    this.#reached = lsn;
    this.#tell(false);
  }

  async close(): Promise<void> {
    clearInterval(this.#status);
    // The library forgets a connection that is being made when it is stopped, and then never says how that ended.
    this.#fail(new Error('the stream was closed'));
    this.#plugin.isClosed = true;
    await atMost(GOODBYE_MS_MAX, this.#service.destroy());
  }

  #fail(error: unknown): void {
    this.#hasFailed = true;
    this.#ended.reject(error);
  }

  #onStatusDue(): void {
    const isHeldUp = this.#plugin.received !== this.#handled;
    if (isHeldUp) this.#seenMs = performance.now();
    if (performance.now() - this.#seenMs > SILENCE_MS_MAX) {
      this.#fail(new Error(`the server has been silent for ${SILENCE_MS_MAX} ms`));
      return;
    }
    this.#tell(true);
  }

  #tell(wantsAnswer: boolean): void {
    // The library tells one byte more than it is given, for it takes what it is given for the last byte. A commit ends
    // where the next one may begin, and of one byte more the server would think that it was taken, too.
    const told = this.#reached - 1n;
    this.#service.acknowledge(formatLsn(told), wantsAnswer).catch((error: unknown) => this.#fail(error));
  }
}

/** A message that says nothing. */
const NOTHING: Pgoutput.Message = { tag: 'origin', originLsn: null, originName: '' };

/** Reads values into JSON, and counts: a message is received before it stands in the library's queue. */
class JsonPlugin extends PgoutputPlugin {
  readonly #types: PostgresTypes;
  readonly #onUnreadable: (error: unknown) => void;
  received = 0;
  isClosed = false;

  constructor(publication: string, types: PostgresTypes, onUnreadable: (error: unknown) => void) {
    super({ protoVersion: 1, publicationNames: [publication] });
    this.#types = types;
    this.#onUnreadable = onUnreadable;
  }

  override get name(): string {
    return 'pgoutput';
  }

  /** The connection stands. */
  override async start(client: Client, slotName: string, lastLsn: string): Promise<unknown> {
    if (!this.isClosed) return super.start(client, slotName, lastLsn);
    await client.end();
    throw new Error('the stream was closed');
  }

  /** Never throws: what is thrown here is thrown into the socket's events. */
  override parse(buffer: Buffer): Pgoutput.Message {
    this.received += 1;
    try {
      const message = super.parse(buffer);
      if (message.tag === 'relation') {
        for (const column of message.columns) column.parser = this.#types.parserOf(column.typeOid);
      }
      return message;
    } catch (error) {
      this.#onUnreadable(error);
      return NOTHING;
    }
  }
}
