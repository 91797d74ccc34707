import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { AsyncInvocations } from '../../invocation/async/async-invocations.ts';
import { noSuchMethod, type ThawAnswer, type ThawCall, type ThawResource } from './thaw-resource.ts';

/**
 * The bytes of asynchronous invocations, of any size: `functions/<function>/tasks/<task>/payload` and `.../result`. The
 * rest of what is known of them is on FC's API.
 */
export class TasksResource implements ThawResource {
  readonly #invocations: AsyncInvocations;

  constructor(invocations: AsyncInvocations) {
    this.#invocations = invocations;
  }

  owns([collection, , tasks]: readonly string[]): boolean {
    return collection === 'functions' && tasks === 'tasks';
  }

  async handle(call: ThawCall): Promise<ThawAnswer> {
    const [, functionName = '', , taskId = '', which] = call.segments;
    if (which !== 'payload' && which !== 'result') {
      throw new ThawError('PATH_NOT_SUPPORTED', `there is nothing at ${call.path}`);
    }
    if (call.method !== 'GET') throw noSuchMethod(call);
    const task = await this.#invocations.require(functionName, taskId);
    const bytes = await this.#invocations.openBytes(task, which);
    if (bytes === undefined) {
      throw new ThawError('PRECONDITION_FAILED', `task '${taskId}' is ${task.status} and has no result`);
    }
    return { bytes, size: task[which]?.size ?? 0 };
  }
}
