import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { OssTrigger } from '../../model/trigger.ts';
import type { ObjectChange, Objects } from '../../store/objects.ts';
import type { AttachedTrigger, TriggerTarget } from '../trigger-source.ts';
import { bucketArn, ossEvent, type OssPlace } from './oss-event.ts';
import { Wake } from './wake.ts';

/** Changes that are handed over together, so that they share the wait for the disk. */
const BATCH = 64;
const RETRY_MS_MIN = 500;
const RETRY_MS_MAX = 30_000;

/**
 * Takes the changes that the store keeps for the trigger (they were written with the objects themselves), hands each over
 * as an invocation whose id is the change's, and only then acknowledges it: a crash in between hands over the same ids
 * again, which makes no second invocation.
 */
export class BucketListener implements AttachedTrigger {
  readonly #trigger: OssTrigger;
  readonly #bucket: string;
  readonly #target: TriggerTarget;
  readonly #objects: Objects;
  readonly #place: OssPlace;
  readonly #wake = new Wake();
  readonly #unlisten: () => void;
  readonly #done: Promise<void>;
  #isDetached = false;

  constructor(trigger: OssTrigger, bucket: string, target: TriggerTarget, objects: Objects, place: OssPlace) {
    this.#trigger = trigger;
    this.#bucket = bucket;
    this.#target = target;
    this.#objects = objects;
    this.#place = place;
    this.#unlisten = objects.watches.listen(trigger.triggerId, () => this.#wake.wake());
    this.#done = this.#run();
  }

  async detach(): Promise<void> {
    this.#isDetached = true;
    this.#unlisten();
    this.#wake.wake();
    await this.#done;
  }

  async #run(): Promise<void> {
    let retryMs = RETRY_MS_MIN;
    while (!this.#isDetached) {
      try {
        // At once the first time: what is put from now on is the trigger's.
        this.#watch();
        const isMissing = this.#objects.findBucket(this.#bucket) === undefined;
        const changes = this.#objects.watches.changes(this.#trigger.triggerId, BATCH);
        await this.#deliver(changes);
        this.#target.report(isMissing ? missing(this.#bucket) : undefined);
        retryMs = RETRY_MS_MIN;
        if (changes.length < BATCH) await this.#wake.sleep();
      } catch (error) {
        this.#target.report(ThawError.from(error, `delivering changes of bucket '${this.#bucket}'`));
        await this.#wake.sleep(retryMs);
        retryMs = Math.min(retryMs * 2, RETRY_MS_MAX);
      }
    }
  }

  #watch(): void {
    const { triggerId, config } = this.#trigger;
    const { prefix = '', suffix = '' } = config.filter.key ?? {};
    const events = config.events.map((event) => event.slice('oss:'.length));
    this.#objects.watches.set({ watchId: triggerId, bucket: this.#bucket, events, prefix, suffix });
  }

  async #deliver(changes: readonly ObjectChange[]): Promise<void> {
    const last = changes.at(-1);
    if (last === undefined) return;
    // All of them have come to an end before any is tried again.
    const results = await Promise.allSettled(changes.map((change) => this.#submit(change)));
    const failed = results.findIndex(({ status }) => status === 'rejected');
    const through = failed === -1 ? last : changes[failed - 1];
    if (through !== undefined)
      await this.#objects.watches.acknowledge(this.#trigger.triggerId, through.sequence);
    const failure = results[failed];
    if (failure?.status === 'rejected') throw failure.reason;
  }

  async #submit({ cause, changeId, ...change }: ObjectChange): Promise<void> {
    const event = ossEvent(
      { ...change, ...cause, arn: bucketArn(change.bucket, this.#place) },
      this.#trigger.triggerId,
      this.#place,
    );
    await this.#target.submit(event, { taskId: `oss-${changeId}` });
  }
}

function missing(bucket: string): ThawError {
  return new ThawError(
    'BUCKET_NOT_FOUND',
    `bucket '${bucket}' does not exist: make it with 'thaw bucket create ${bucket}'`,
    { details: { bucket } },
  );
}
