import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { InvokedEvent, SubmitOptions, TriggerState, TriggerTarget } from '../trigger-source.ts';

/** A target in memory that keeps what it is given, each task once, for trying a source without a platform. */
export class KeptTarget implements TriggerTarget {
  readonly state: TriggerState;
  /** Events by task id, in the order in which they came. */
  readonly events = new Map<string, unknown>();
  /** Submissions, those of one task counted again. */
  submissions = 0;
  problem: ThawError | undefined;
  /** Refuses what comes while it is set. */
  refusal: ThawError | undefined;

  constructor(state?: TriggerState) {
    let text: string | undefined;
    this.state = state ?? {
      get: () => (text === undefined ? undefined : JSON.parse(text)),
      set: (value) => {
        text = JSON.stringify(value);
      },
    };
  }

  submit(event: Buffer, { taskId = '' }: SubmitOptions = {}): Promise<{ readonly taskId: string }> {
    if (this.refusal !== undefined) return Promise.reject(this.refusal);
    this.submissions += 1;
    if (!this.events.has(taskId)) this.events.set(taskId, JSON.parse(event.toString()));
    return Promise.resolve({ taskId });
  }

  invoke(): Promise<InvokedEvent> {
    const error = new ThawError('PATH_NOT_SUPPORTED', 'this target only takes events');
    return Promise.resolve({ requestId: '', body: Buffer.alloc(0), error });
  }

  report(problem: ThawError | undefined): void {
    this.problem = problem;
  }
}
