import type { Clock } from '../../base/clock.ts';
import { ossOrigin } from '../../model/oss-trigger.ts';
import type { OssTrigger } from '../../model/trigger.ts';
import type { KnownFiles } from '../../store/known-files.ts';
import type { Objects } from '../../store/objects.ts';
import type { AttachedTrigger, TriggerSource, TriggerTarget } from '../trigger-source.ts';
import { BucketListener } from './bucket-listener.ts';
import { DirectoryListener } from './directory-listener.ts';
import { bucketArn, ossEvent, type OssPlace } from './oss-event.ts';
import type { WatchedDirectories } from './watched-directories.ts';

export interface OssSourceDeps {
  readonly objects: Objects;
  readonly files: KnownFiles;
  readonly directories: WatchedDirectories;
  readonly clock: Clock;
  readonly place: OssPlace;
}

/**
 * Files that come and go: objects of a bucket, or what is below a directory of the platform's machine. While a trigger is
 * paused, what happens is kept for it and delivered when it goes on.
 */
export class OssSource implements TriggerSource<OssTrigger> {
  readonly triggerType = 'oss';
  readonly #deps: OssSourceDeps;

  constructor(deps: OssSourceDeps) {
    this.#deps = deps;
  }

  check(trigger: OssTrigger): void {
    const origin = ossOrigin(trigger);
    if (origin.kind === 'directory') this.#deps.directories.require(origin.path);
  }

  attach(trigger: OssTrigger, target: TriggerTarget): AttachedTrigger {
    const { objects, place } = this.#deps;
    const origin = ossOrigin(trigger);
    if (origin.kind === 'directory') {
      // It may have listened to a bucket before, whose changes nobody would take any more.
      objects.watches.delete(trigger.triggerId);
      return new DirectoryListener(trigger, origin.path, target, this.#deps);
    }
    const state = { watch: trigger.triggerId };
    if (JSON.stringify(target.state.get()) !== JSON.stringify(state)) target.state.set(state);
    return new BucketListener(trigger, origin.bucket, target, objects, place);
  }

  removed(state: unknown): Promise<void> {
    if (typeof state !== 'object' || state === null) return Promise.resolve();
    if ('watch' in state && typeof state.watch === 'string') this.#deps.objects.watches.delete(state.watch);
    if ('watchedDirectory' in state && 'triggerId' in state && typeof state.triggerId === 'string')
      this.#deps.files.forget(state.triggerId);
    return Promise.resolve();
  }

  sampleEvent(trigger: OssTrigger): Buffer {
    const { clock, place } = this.#deps;
    const origin = ossOrigin(trigger);
    const { prefix = '', suffix = '' } = trigger.config.filter.key ?? {};
    const wanted = trigger.config.events[0]?.slice('oss:'.length) ?? '';
    const event = wanted.replace('ObjectCreated:*', 'ObjectCreated:PutObject').replace('*', 'DeleteObject');
    const size = event.startsWith('ObjectRemoved') ? 0 : 5;
    const key = `${prefix}sample${suffix}`;
    return ossEvent(
      {
        event,
        key,
        size,
        deltaSize: size === 0 ? -5 : size,
        etag: '5d41402abc4b2a76b9719d911017c592',
        contentType: 'text/plain',
        timeMs: clock.now(),
        sourceIp: '127.0.0.1',
        requestId: '1-00000000-000000000000000000000000',
        principalId: place.accountId,
        ...(origin.kind === 'bucket'
          ? { bucket: origin.bucket, arn: bucketArn(origin.bucket, place) }
          : { bucket: 'sample', arn: `file://${origin.path}`, path: `${origin.path}/${key}` }),
      },
      trigger.triggerId,
      place,
    );
  }
}
