import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { InvokedEvent, SubmitOptions, TriggerTarget } from '../trigger-source.ts';
import type { RowChange } from './row-change.ts';

/** What a function does with an event; undefined: it takes it. */
type Answer = (
  changes: readonly RowChange[],
  signal?: AbortSignal,
) => Promise<ThawError | void> | ThawError | void;

/** A target in memory: a function in this process, for tests and for trying a source without a platform. */
export class RecordingTarget implements TriggerTarget {
  readonly events: (readonly RowChange[])[] = [];
  readonly submitted: { readonly event: readonly RowChange[]; readonly taskId: string | undefined }[] = [];
  readonly problems: (ThawError | undefined)[] = [];
  /** What runs at this moment, and the most that ever did. */
  running = 0;
  runningMax = 0;
  answer: Answer;
  #state: string | undefined;

  constructor(answer: Answer = () => undefined) {
    this.answer = answer;
  }

  readonly state = {
    get: (): unknown => (this.#state === undefined ? undefined : JSON.parse(this.#state)),
    set: (value: unknown): void => {
      this.#state = JSON.stringify(value);
    },
  };

  get problem(): ThawError | undefined {
    return this.problems.at(-1);
  }

  /** Of all events that were taken. */
  get changes(): readonly RowChange[] {
    return this.events.flat();
  }

  submit(event: Buffer, { taskId }: SubmitOptions = {}): Promise<{ readonly taskId: string }> {
    this.submitted.push({ event: changesOf(event), taskId });
    return Promise.resolve({ taskId: taskId ?? '' });
  }

  async invoke(event: Buffer, signal?: AbortSignal): Promise<InvokedEvent> {
    const changes = changesOf(event);
    this.running += 1;
    this.runningMax = Math.max(this.running, this.runningMax);
    const error = await this.answer(changes, signal);
    this.running -= 1;
    const answered = { requestId: '', body: Buffer.alloc(0) };
    if (error instanceof ThawError) return { ...answered, error };
    this.events.push(changes);
    return answered;
  }

  report(problem: ThawError | undefined): void {
    this.problems.push(problem);
  }
}

function changesOf(event: Buffer): readonly RowChange[] {
  const { changes }: { changes: readonly RowChange[] } = JSON.parse(event.toString());
  return changes;
}
