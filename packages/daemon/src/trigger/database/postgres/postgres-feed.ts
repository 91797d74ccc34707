import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { DatabaseTrigger } from '../../../model/trigger.ts';
import type { AttachedTrigger, TriggerTarget } from '../../trigger-source.ts';
import { ChangeDelivery } from '../change-delivery.ts';
import { databaseState, type PostgresState } from '../database-state.ts';
import { retryPauseMs } from '../delivery-policy.ts';
import { pause } from '../pause.ts';
import { ProblemBoard } from '../problem-board.ts';
import { changesEvent, queuedChange, setAsideId } from '../row-change.ts';
import { formatLsn, parseLsn } from './lsn.ts';
import { postgresDatabase, postgresPlace, withPostgres } from './postgres-address.ts';
import { isoOfMicroseconds, postgresChange, type RowMessage, type Transaction } from './postgres-change.ts';
import { postgresName } from './postgres-names.ts';
import { postgresProblem } from './postgres-problem.ts';
import {
  cleanPostgres,
  followTables,
  preparePostgres,
  type FollowedTables,
  type Preparing,
} from './prepare-postgres.ts';
import { ReplicationStream, type PostgresMessage } from './replication-stream.ts';

/** How often the list of tables is looked over: one that comes later is followed from then on. */
const CHECK_TABLES_MS = 60_000;
/** A slot that takes longer to make waits for somebody's open transaction, which is worth telling. */
const SLOT_MS_USUAL = 5_000;

/** How far into the log: all transactions before `lsn`, and of the one after it so many changes. */
interface Position {
  readonly lsn: bigint;
  readonly transaction?: { readonly commit: string; readonly changes: number };
}

interface OpenTransaction extends Transaction {
  seen: number;
}

/**
 * Follows the tables of one PostgreSQL database, from where the function has taken the changes last. A connection that
 * ends is made again and goes on behind what was received; what was received and not yet taken stays here meanwhile.
 */
export class PostgresFeed implements AttachedTrigger {
  readonly #trigger: DatabaseTrigger;
  readonly #target: TriggerTarget;
  readonly #place: string;
  readonly #problems: ProblemBoard;
  readonly #ending = new AbortController();
  readonly #running: Promise<void>;
  #state: PostgresState;
  #delivery: ChangeDelivery<Position> | undefined;
  #stream: ReplicationStream | undefined;
  #tables: FollowedTables = { keys: new Map(), problem: undefined };
  #received: Position = { lsn: 0n };
  #reachedLsn = 0n;
  #transaction: OpenTransaction | undefined;

  constructor(trigger: DatabaseTrigger, target: TriggerTarget) {
    this.#trigger = trigger;
    this.#target = target;
    this.#place = postgresPlace(trigger.config.url);
    this.#problems = new ProblemBoard((problem) => target.report(problem));
    this.#state = { kind: 'postgres', url: trigger.config.url, name: postgresName(trigger.triggerId) };
    this.#running = this.#run();
  }

  async detach(): Promise<void> {
    this.#ending.abort();
    await this.#stream?.close();
    await this.#delivery?.close();
    await this.#running;
  }

  async #run(): Promise<void> {
    for (let failures = 1; !this.#hasEnded; failures += 1) {
      try {
        await this.#adoptState();
        await this.#follow(() => {
          failures = 0;
        });
        throw new Error('the server ended the connection');
      } catch (error) {
        if (this.#hasEnded) return;
        this.#problems.put('source', postgresProblem(error, this.#place));
      } finally {
        await this.#stream?.close();
        this.#stream = undefined;
      }
      await pause(retryPauseMs(failures, Math.random()), this.#ending.signal);
    }
  }

  get #hasEnded(): boolean {
    return this.#ending.signal.aborted;
  }

  /** Takes up where the trigger was. One that followed another database before leaves nothing there. */
  async #adoptState(): Promise<void> {
    if (this.#delivery !== undefined) return;
    const stored = databaseState(this.#target.state.get());
    const isHere =
      stored?.kind === 'postgres' &&
      stored.name === this.#state.name &&
      postgresPlace(stored.url) === this.#place;
    if (isHere) this.#state = { ...stored, url: this.#state.url };
    else if (stored?.kind === 'postgres') await this.#leave(stored);
    this.#target.state.set(this.#state);
  }

  /** One try: a database that is gone for good must not keep the trigger from its new one. */
  async #leave({ url, name }: PostgresState): Promise<void> {
    try {
      await withPostgres(url, this.#ending.signal, (client) => cleanPostgres(client, name));
    } catch (error) {
      const message = `replication slot ${name} may still be in database ${postgresPlace(url)}: drop it there`;
      this.#problems.put('leftover', new ThawError('SOURCE_UNREACHABLE', message, { cause: error }));
    }
  }

  async #follow(onWorking: () => void): Promise<void> {
    const { url } = this.#trigger.config;
    const { name } = this.#state;
    const prepared = await this.#prepare();
    this.#showTables(prepared.tables);
    if (this.#delivery === undefined) {
      this.#received = positionOf(this.#state, prepared.confirmed);
      this.#reachedLsn = this.#received.lsn;
      this.#keep(this.#received);
      this.#delivery = this.#createDelivery();
    }
    if (this.#hasEnded) return;
    this.#transaction = undefined;
    const stream = new ReplicationStream({
      url,
      name,
      from: this.#received.lsn,
      reached: this.#reachedLsn,
      types: prepared.types,
      onMessage: (message) => this.#onMessage(message),
      onIdle: (lsn) => this.#onIdle(lsn),
      onStart: () => {
        onWorking();
        this.#problems.put('source', undefined);
      },
    });
    this.#stream = stream;
    const checking = setInterval(() => void this.#checkTables(), CHECK_TABLES_MS);
    try {
      await stream.read();
    } finally {
      clearInterval(checking);
    }
  }

  async #prepare(): ReturnType<typeof preparePostgres> {
    const waiting = new ThawError(
      'SOURCE_UNREACHABLE',
      `database ${this.#place} is making the replication slot, which waits for transactions that are open there`,
    );
    const slow = setTimeout(() => this.#problems.put('source', waiting), SLOT_MS_USUAL);
    try {
      return await withPostgres(this.#trigger.config.url, this.#ending.signal, (client) =>
        preparePostgres(this.#preparing(client), this.#state.lsn === undefined),
      );
    } finally {
      clearTimeout(slow);
    }
  }

  #preparing(client: Preparing['client']): Preparing {
    return { client, name: this.#state.name, place: this.#place, config: this.#trigger.config };
  }

  async #checkTables(): Promise<void> {
    try {
      const tables = await withPostgres(this.#trigger.config.url, this.#ending.signal, (client) =>
        followTables(this.#preparing(client)),
      );
      this.#showTables(tables);
    } catch (error) {
      if (!this.#hasEnded) this.#problems.put('tables', postgresProblem(error, this.#place));
    }
  }

  #showTables(tables: FollowedTables): void {
    this.#tables = tables;
    this.#problems.put('tables', tables.problem);
  }

  #onMessage(message: PostgresMessage): Promise<void> | void {
    switch (message.tag) {
      case 'begin':
        this.#transaction = {
          commit: formatLsn(parseLsn(message.commitLsn ?? '0/0')),
          id: String(message.xid >>> 0),
          committedAt: isoOfMicroseconds(BigInt(message.commitTime.toString())),
          seen: 0,
        };
        return;
      case 'commit':
        this.#transaction = undefined;
        this.#advance(parseLsn(message.commitEndLsn ?? '0/0'));
        return;
      case 'insert':
      case 'update':
      case 'delete':
        return this.#onChange(message);
      case 'relation':
      case 'type':
        // The library's to know.
        return;
      case 'origin':
      case 'truncate':
      case 'message':
        // Not asked for, or nothing that a row's trigger tells.
        return;
    }
  }

  async #onChange(message: RowMessage): Promise<void> {
    const transaction = this.#transaction;
    if (transaction === undefined) throw new Error('a change came outside of a transaction');
    transaction.seen += 1;
    const { transaction: before, lsn } = this.#received;
    // After a new connection the server begins the transaction anew.
    if (before?.commit === transaction.commit && transaction.seen <= before.changes) return;
    this.#received = { lsn, transaction: { commit: transaction.commit, changes: transaction.seen } };
    if (!this.#trigger.config.operations.includes(message.tag)) return;
    const { change, isKeyChange } = postgresChange(message, transaction, transaction.seen, this.#tables.keys);
    await this.#delivery?.push(queuedChange(change, { isKeyChange, position: this.#received }));
  }

  /** What the server writes for others moves on, too: without telling so, it would keep all of that for us. */
  #onIdle(lsn: bigint): void {
    if (this.#transaction === undefined) this.#advance(lsn);
  }

  #advance(lsn: bigint): void {
    if (lsn <= this.#received.lsn) return;
    this.#received = { lsn };
    this.#delivery?.mark(this.#received);
  }

  #createDelivery(): ChangeDelivery<Position> {
    const { config, triggerName, triggerId } = this.#trigger;
    const origin = { type: 'postgresql', database: postgresDatabase(config.url) } as const;
    return new ChangeDelivery({
      ...config,
      target: this.#target,
      eventOf: (changes) => changesEvent(origin, triggerName, changes),
      taskIdOf: (change) => setAsideId(triggerId, change.id),
      onReached: (position, changes) => {
        // Where nothing was delivered, the server's own memory is enough.
        if (changes > 0) this.#keep(position);
        this.#reachedLsn = position.lsn;
        this.#stream?.acknowledge(position.lsn);
      },
      onProblem: (problem) => this.#problems.put('delivery', problem),
    });
  }

  #keep({ lsn, transaction }: Position): void {
    const { kind, url, name } = this.#state;
    this.#state = {
      kind,
      url,
      name,
      lsn: formatLsn(lsn),
      ...(transaction === undefined ? {} : { transaction }),
    };
    this.#target.state.set(this.#state);
  }
}

function positionOf({ lsn, transaction }: PostgresState, confirmed: string): Position {
  if (lsn === undefined) return { lsn: parseLsn(confirmed) };
  const kept = parseLsn(lsn);
  return transaction === undefined ? { lsn: kept } : { lsn: kept, transaction };
}
