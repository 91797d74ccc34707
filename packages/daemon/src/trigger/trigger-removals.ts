import { setTimeout as sleep } from 'node:timers/promises';
import type { PlatformLog } from '../base/platform-log.ts';
import type { Records } from '../store/records.ts';
import { recordedState, TRIGGER_STATES } from './trigger-records.ts';
import type { TriggerSource } from './trigger-source.ts';

const RETRY_MS_MIN = 1_000;
const RETRY_MS_MAX = 5 * 60_000;

export interface TriggerRemovalsOptions {
  readonly records: Records;
  readonly sources: readonly TriggerSource[];
  readonly log: PlatformLog;
}

/**
 * Takes away what deleted triggers left outside: a replication slot, which would keep a database's log for ever. The
 * trigger's state is what tells of it, and stays until all is gone, however often the platform starts meanwhile.
 */
export class TriggerRemovals {
  readonly #options: TriggerRemovalsOptions;
  readonly #closing = new AbortController();
  readonly #running = new Map<string, Promise<void>>();

  constructor(options: TriggerRemovalsOptions) {
    this.#options = options;
  }

  /** Of a trigger that is deleted and detached. */
  add(triggerId: string): void {
    if (this.#running.has(triggerId) || this.#closing.signal.aborted) return;
    const running = this.#remove(triggerId).finally(() => this.#running.delete(triggerId));
    this.#running.set(triggerId, running);
  }

  /** What is not done is done after the next start. */
  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all(this.#running.values());
  }

  async #remove(triggerId: string): Promise<void> {
    const { records, sources, log } = this.#options;
    const state = recordedState(records, triggerId);
    for (
      let pauseMs = RETRY_MS_MIN;
      !this.#closing.signal.aborted;
      pauseMs = Math.min(pauseMs * 2, RETRY_MS_MAX)
    ) {
      try {
        const value = state.get();
        if (value !== undefined) {
          for (const source of sources) await source.removed?.(value, this.#closing.signal);
        }
        records.delete(TRIGGER_STATES.key(triggerId));
        return;
      } catch (error) {
        if (this.#closing.signal.aborted) return;
        log('warning', `what trigger ${triggerId} left outside could not be removed yet`, error);
      }
      await sleep(pauseMs, undefined, { signal: this.#closing.signal }).catch(() => undefined);
    }
  }
}
