import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { DatabaseTrigger } from '../../../model/trigger.ts';
import type { WatchedDirectories } from '../../oss/watched-directories.ts';
import type { AttachedTrigger, TriggerTarget } from '../../trigger-source.ts';
import { ChangeDelivery } from '../change-delivery.ts';
import { databaseState, type SqliteState } from '../database-state.ts';
import { retryPauseMs } from '../delivery-policy.ts';
import { pause } from '../pause.ts';
import { ProblemBoard } from '../problem-board.ts';
import { changesEvent, queuedChange, setAsideId, type RowChange } from '../row-change.ts';
import type { CapturedChange, ReadAnswer } from './sqlite-calls.ts';
import { SqliteClient } from './sqlite-client.ts';
import { sqliteName, sqlitePath } from './sqlite-place.ts';
import { isLocked, sqliteProblem } from './sqlite-problem.ts';

/** How often the file is asked whether anybody has written: the most that a change waits to be seen. */
const POLL_MS = 100;
/** Forgetting what was taken needs the file's lock, for which the user's programs wait: seldom, and much at once. */
const PRUNE_MS = 1_000;

/** Follows the tables of one SQLite file, from where the function has taken the changes last. */
export class SqliteFeed implements AttachedTrigger {
  readonly #trigger: DatabaseTrigger;
  readonly #target: TriggerTarget;
  readonly #directories: WatchedDirectories;
  readonly #problems: ProblemBoard;
  readonly #ending = new AbortController();
  readonly #running: Promise<void>;
  #state: SqliteState;
  #delivery: ChangeDelivery<number> | undefined;
  /** What the function has taken, and up to where that is forgotten in the file. */
  #reached = 0;
  #pruned = 0;
  #pruneAtMs = 0;

  constructor(trigger: DatabaseTrigger, target: TriggerTarget, directories: WatchedDirectories) {
    this.#trigger = trigger;
    this.#target = target;
    this.#directories = directories;
    this.#problems = new ProblemBoard((problem) => target.report(problem));
    this.#state = {
      kind: 'sqlite',
      path: sqlitePath(trigger.config.url),
      name: sqliteName(trigger.triggerId),
    };
    this.#running = this.#run();
  }

  async detach(): Promise<void> {
    this.#ending.abort();
    await this.#delivery?.close();
    await this.#running;
  }

  async #run(): Promise<void> {
    for (let failures = 1; !this.#hasEnded; failures += 1) {
      const client = new SqliteClient();
      try {
        await this.#follow(client, () => {
          failures = 0;
        });
      } catch (error) {
        if (!this.#hasEnded) this.#problems.put('source', sqliteProblem(error, this.#state.path));
      } finally {
        await client.close();
        await this.#delivery?.close();
        this.#delivery = undefined;
      }
      if (!this.#hasEnded) await pause(retryPauseMs(failures, Math.random()), this.#ending.signal);
    }
  }

  get #hasEnded(): boolean {
    return this.#ending.signal.aborted;
  }

  async #follow(client: SqliteClient, onWorking: () => void): Promise<void> {
    await this.#adoptState(client);
    const { path, name } = this.#state;
    this.#directories.require(path);
    const { tables, operations } = this.#trigger.config;
    const { epoch, newest, wrong } = await client.ask({ do: 'open', path, name, tables, operations });
    // Another file, or one put back from a copy that has seen less: what it holds was never taken from it.
    const isSame = this.#state.epoch === epoch && (this.#state.position ?? 0) <= newest;
    let read = isSame ? (this.#state.position ?? 0) : 0;
    this.#reached = read;
    this.#pruned = 0;
    this.#keep(epoch, read);
    this.#showTables(wrong);
    onWorking();
    const delivery = this.#createDelivery(epoch);
    this.#delivery = delivery;
    while (!this.#hasEnded) {
      const answer = await this.#read(client, read);
      if (answer === undefined) continue;
      const { changes, wrong: changedTables } = answer;
      if (changedTables !== undefined) this.#showTables(changedTables);
      for (const captured of changes) {
        read = captured.position;
        const { isKeyChange } = captured;
        await delivery.push(
          queuedChange(changeOf(captured, epoch), { isKeyChange, position: captured.position }),
        );
      }
      await this.#prune(client);
      if (changes.length === 0) await pause(POLL_MS, this.#ending.signal);
    }
  }

  /** Undefined where somebody else holds the file for long; what was read before goes on meanwhile. */
  async #read(client: SqliteClient, after: number): Promise<ReadAnswer | undefined> {
    try {
      const answer = await client.ask({ do: 'read', after });
      this.#problems.put('source', undefined);
      return answer;
    } catch (error) {
      if (!isLocked(error)) throw error;
      this.#problems.put('source', sqliteProblem(error, this.#state.path));
      return undefined;
    }
  }

  /** A trigger that followed another file before leaves nothing there. */
  async #adoptState(client: SqliteClient): Promise<void> {
    const stored = databaseState(this.#target.state.get());
    const { path, name } = this.#state;
    if (stored?.kind === 'sqlite' && stored.path === path && stored.name === name) {
      this.#state = stored;
      return;
    }
    if (stored?.kind === 'sqlite') {
      await client
        .ask({ do: 'uninstall', path: stored.path, name: stored.name })
        .catch((error: unknown) => this.#problems.put('leftover', sqliteProblem(error, stored.path)));
    }
    // Kept before anything is put into the file.
    this.#target.state.set(this.#state);
  }

  #showTables(wrong: readonly string[]): void {
    const { path } = this.#state;
    const problem =
      wrong.length === 0
        ? undefined
        : new ThawError('SOURCE_REFUSED', `in the file ${path}: ${wrong.join('; ')}`, {
            details: { database: path },
          });
    this.#problems.put('tables', problem);
  }

  async #prune(client: SqliteClient): Promise<void> {
    const nowMs = performance.now();
    if (this.#reached === this.#pruned || nowMs < this.#pruneAtMs) return;
    this.#pruneAtMs = nowMs + PRUNE_MS;
    const upTo = this.#reached;
    if (await client.ask({ do: 'prune', upTo })) this.#pruned = upTo;
  }

  #createDelivery(epoch: string): ChangeDelivery<number> {
    const { config, triggerName, triggerId } = this.#trigger;
    const origin = { type: 'sqlite', database: this.#state.path } as const;
    return new ChangeDelivery<number>({
      ...config,
      target: this.#target,
      eventOf: (changes) => changesEvent(origin, triggerName, changes),
      taskIdOf: (change) => setAsideId(triggerId, change.id),
      onReached: (position) => {
        this.#keep(epoch, position);
        this.#reached = position;
      },
      onProblem: (problem) => this.#problems.put('delivery', problem),
    });
  }

  #keep(epoch: string, position: number): void {
    const { kind, path, name } = this.#state;
    this.#state = { kind, path, name, epoch, position };
    this.#target.state.set(this.#state);
  }
}

function changeOf(captured: CapturedChange, epoch: string): RowChange {
  const { position, table, operation, key, before, after, at } = captured;
  return {
    id: `${epoch}-${position}`,
    schema: 'main',
    table,
    operation,
    key,
    before,
    after,
    committedAt: at,
    transactionId: null,
    position: String(position),
  };
}
