import assert from 'node:assert/strict';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Clock } from '../base/clock.ts';
import type { PlatformLog } from '../base/platform-log.ts';
import { TRIGGERS, type TypedRecord } from '../catalog/record-kinds.ts';
import type { Resolution } from '../catalog/routing-table.ts';
import type { TaskError } from '../model/async-task.ts';
import type { EventTrigger, Trigger } from '../model/trigger.ts';
import type { TriggerKind } from '../model/trigger-kind.ts';
import type { Records } from '../store/records.ts';
import type { EventInvocations } from './event-invocations.ts';
import { TriggerLog } from './trigger-log.ts';
import { recordedState, TRIGGER_LOGS, TRIGGER_STATES } from './trigger-records.ts';
import { TriggerRemovals } from './trigger-removals.ts';
import type { AttachedTrigger, InvokedEvent, TriggerSource, TriggerState } from './trigger-source.ts';
import { triggerStatus, type TriggerProblem, type TriggerStatus } from './trigger-status.ts';
import { createTarget } from './trigger-target.ts';

/** What a crash of the platform may lose of the lists of deliveries, which tell and decide nothing. */
const SAVE_LOGS_MS = 5_000;

export interface TriggerEngineOptions {
  readonly records: Records;
  readonly clock: Clock;
  readonly log: PlatformLog;
  readonly invocations: EventInvocations;
  readonly sources: readonly TriggerSource[];
  /** What a function and qualifier lead to now. */
  readonly find: (functionName: string, qualifier: string) => Resolution;
}

export interface FailedInvocation {
  readonly functionName: string;
  readonly trigger: TriggerKind;
  readonly taskId: string;
}

/** One event trigger as it is stored, and what runs of it. */
interface Entry {
  trigger: EventTrigger;
  revision: number;
  readonly log: TriggerLog;
  attached: AttachedTrigger | undefined;
  problem: TriggerProblem | undefined;
}

/**
 * Keeps a source attached to every event trigger that is stored, is not paused, and has a function to invoke. Changes
 * to one trigger are followed one after the other, each by what is stored then, so their order does not matter.
 */
export class TriggerEngine {
  readonly #options: TriggerEngineOptions;
  readonly #sources: ReadonlyMap<string, TriggerSource>;
  /** By key of the trigger's record. */
  readonly #entries = new Map<string, Entry>();
  readonly #work = new Map<string, Promise<void>>();
  readonly #removals: TriggerRemovals;
  #saving: NodeJS.Timeout | undefined;
  #unwatch: (() => void) | undefined;
  #isClosed = false;

  constructor(options: TriggerEngineOptions) {
    this.#options = options;
    this.#sources = new Map(options.sources.map((source) => [source.triggerType, source]));
    this.#removals = new TriggerRemovals(options);
  }

  /** Attaches what is stored; from then on follows changes. */
  open(): void {
    const { records } = this.#options;
    this.#unwatch = records.watch(TRIGGERS.prefix, (change) =>
      this.#follow(change.kind === 'put' ? change.record.key : change.key),
    );
    const stored = TRIGGERS.list(records);
    this.#forgetRemoved(new Set(stored.map(({ value }) => value.triggerId)));
    for (const { key } of stored) this.#follow(key);
    this.#saving = setInterval(() => this.#save(), SAVE_LOGS_MS);
    this.#saving.unref();
  }

  /** Throws INVALID_ARGUMENT for a configuration that the trigger's source could not work with. */
  check(trigger: EventTrigger): void {
    this.#sources.get(trigger.triggerType)?.check?.(trigger);
  }

  /** Something about the function has changed: it, or what a qualifier leads to, may have come or gone. */
  refresh(functionName: string): void {
    const prefix = TRIGGERS.key(functionName, '');
    for (const key of this.#entries.keys()) if (key.startsWith(prefix)) this.#follow(key);
  }

  /** Every stored trigger of a type, as far as changes have been followed; the paused ones too. */
  stored<T extends EventTrigger['triggerType']>(
    triggerType: T,
  ): readonly Extract<EventTrigger, { triggerType: T }>[] {
    const isOfType = (trigger: EventTrigger): trigger is Extract<EventTrigger, { triggerType: T }> =>
      trigger.triggerType === triggerType;
    return [...this.#entries.values()].map((entry) => entry.trigger).filter(isOfType);
  }

  /** When it resolves, every change that was made before has been followed. */
  async settled(): Promise<void> {
    await Promise.all(this.#work.values());
  }

  statusOf(trigger: Trigger): TriggerStatus {
    const entry = this.#entries.get(TRIGGERS.key(trigger.functionName, trigger.triggerName));
    return triggerStatus(trigger, entry?.trigger.triggerId === trigger.triggerId ? entry : undefined);
  }

  /** Throws INVALID_ARGUMENT for an HTTP trigger, which has no events. */
  sampleEvent(trigger: Trigger): Buffer {
    const source = trigger.triggerType === 'http' ? undefined : this.#sources.get(trigger.triggerType);
    if (source === undefined || trigger.triggerType === 'http') {
      throw new ThawError(
        'INVALID_ARGUMENT',
        `trigger '${trigger.triggerName}' is of type ${trigger.triggerType} and has no sample event; send it a request`,
      );
    }
    return source.sampleEvent(trigger);
  }

  /** Invokes what the trigger would, now, whether or not it is paused. The trigger itself learns nothing of it. */
  test(trigger: EventTrigger, event: Buffer, signal?: AbortSignal): Promise<InvokedEvent> {
    const { functionName, qualifier, triggerType } = trigger;
    return this.#options.invocations.invokeEvent(
      { functionName, qualifier, trigger: triggerType, body: event },
      signal,
    );
  }

  /** An invocation that a trigger caused has failed for good. */
  noteFailure({ functionName, trigger, taskId }: FailedInvocation, error: TaskError): void {
    const prefix = TRIGGERS.key(functionName, '');
    const entries = [...this.#entries]
      .filter(([key, entry]) => key.startsWith(prefix) && entry.trigger.triggerType === trigger)
      .map(([, entry]) => entry);
    // Ids of tasks name the trigger where a function could have several of its kind on one source.
    const named = entries.find((entry) => taskId.includes(entry.trigger.triggerId));
    const [only] = entries.length === 1 ? entries : [];
    (named ?? only)?.log.fail(taskId, this.#options.clock.now(), error);
  }

  /** Detaches everything. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#unwatch?.();
    clearInterval(this.#saving);
    await Promise.all(this.#work.values());
    await Promise.all([
      this.#removals.close(),
      ...[...this.#entries.values()].map((entry) => this.#detach(entry)),
    ]);
    this.#save();
  }

  #follow(key: string): void {
    if (this.#isClosed) return;
    const before = this.#work.get(key) ?? Promise.resolve();
    const work = before
      .then(() => this.#reconcile(key))
      .catch((error: unknown) => this.#options.log('error', `trigger ${key} could not be followed`, error))
      .finally(() => {
        if (this.#work.get(key) === work) this.#work.delete(key);
      });
    this.#work.set(key, work);
  }

  async #reconcile(key: string): Promise<void> {
    if (this.#isClosed) return;
    const record = this.#read(key);
    let entry = this.#entries.get(key);
    if (entry !== undefined && entry.trigger.triggerId !== record?.value.triggerId) {
      await this.#detach(entry);
      this.#entries.delete(key);
      this.#forget(entry.trigger.triggerId);
      entry = undefined;
    }
    if (record === undefined) return;
    if (entry === undefined) {
      entry = this.#entryOf(record);
      this.#entries.set(key, entry);
    }
    const reason = this.#whyNot(record.value);
    if (entry.revision !== record.revision || reason !== undefined) await this.#detach(entry);
    entry.trigger = record.value;
    entry.revision = record.revision;
    if (reason === undefined) this.#attach(entry);
    else
      entry.problem = reason === 'paused' ? undefined : { error: reason, since: this.#options.clock.now() };
    if (reason === 'paused')
      this.#sourceOf(entry.trigger).paused?.(entry.trigger, this.#stateOf(entry.trigger));
  }

  /** Why nothing is attached to a trigger, or undefined where something has to be. */
  #whyNot({
    functionName,
    triggerName,
    triggerType,
    qualifier,
    isPaused,
  }: EventTrigger): 'paused' | ThawError | undefined {
    if (isPaused) return 'paused';
    if (!this.#sources.has(triggerType)) {
      return new ThawError('INVALID_ARGUMENT', `nothing serves triggers of type ${triggerType}`);
    }
    const found = this.#options.find(functionName, qualifier);
    // A version whose code is being unpacked is as good as there: what is submitted meanwhile waits for it.
    if (typeof found !== 'string' || found === 'STORE_FAILED') return undefined;
    return new ThawError(
      found,
      `trigger '${triggerName}' waits: function '${functionName}' (${qualifier}) is not there`,
    );
  }

  #attach(entry: Entry): void {
    if (entry.attached !== undefined || this.#isClosed) return;
    const source = this.#sourceOf(entry.trigger);
    entry.problem = undefined;
    const target = createTarget({
      trigger: entry.trigger,
      invocations: this.#options.invocations,
      clock: this.#options.clock,
      state: this.#stateOf(entry.trigger),
      log: entry.log,
      onProblem: (error) => {
        entry.problem =
          error === undefined
            ? undefined
            : { error, since: entry.problem?.since ?? this.#options.clock.now() };
      },
    });
    try {
      entry.attached = source.attach(entry.trigger, target);
    } catch (thrown) {
      // A source throws for nothing but a configuration that was stored by a program with other rules.
      const error = ThawError.from(thrown, `attaching trigger '${entry.trigger.triggerName}'`);
      entry.problem = { error, since: this.#options.clock.now() };
    }
  }

  async #detach(entry: Entry): Promise<void> {
    const { attached } = entry;
    entry.attached = undefined;
    await attached?.detach();
  }

  #sourceOf({ triggerType }: EventTrigger): TriggerSource {
    const source = this.#sources.get(triggerType);
    assert(source !== undefined, `no source for triggers of type ${triggerType}`);
    return source;
  }

  #stateOf({ triggerId }: EventTrigger): TriggerState {
    return recordedState(this.#options.records, triggerId);
  }

  #read(key: string): TypedRecord<EventTrigger> | undefined {
    const record = this.#options.records.get(key);
    if (record === undefined) return undefined;
    const { value, revision } = TRIGGERS.typed(record);
    return value.triggerType === 'http' ? undefined : { key, value, revision };
  }

  #entryOf({ value, revision }: TypedRecord<EventTrigger>): Entry {
    const stored = TRIGGER_LOGS.get(this.#options.records, value.triggerId)?.value;
    return { trigger: value, revision, log: new TriggerLog(stored), attached: undefined, problem: undefined };
  }

  /** Its state goes when what it tells of is gone. */
  #forget(triggerId: string): void {
    this.#options.records.delete(TRIGGER_LOGS.key(triggerId));
    this.#removals.add(triggerId);
  }

  /** What a trigger left behind that was removed while nobody looked. */
  #forgetRemoved(triggerIds: ReadonlySet<string>): void {
    const left = [TRIGGER_STATES, TRIGGER_LOGS].flatMap((kind) =>
      kind.list(this.#options.records).map(({ key }) => key.slice(kind.prefix.length)),
    );
    for (const triggerId of new Set(left)) if (!triggerIds.has(triggerId)) this.#forget(triggerId);
  }

  #save(): void {
    try {
      const writes = [...this.#entries.values()].flatMap(({ trigger, log }) => {
        const value = log.takeUnsaved();
        return value === undefined
          ? []
          : [{ kind: 'put', key: TRIGGER_LOGS.key(trigger.triggerId), value } as const];
      });
      this.#options.records.batch(writes);
    } catch (error) {
      this.#options.log('error', 'the lists of deliveries of triggers could not be stored', error);
    }
  }
}
