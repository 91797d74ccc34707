import { deadLettersInput } from '@thaw/protocol/dead-letter-api.ts';
import { parseFc } from '@thaw/protocol/fc/parse.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { textField } from '../../base/text-field.ts';
import type { AsyncInvocations } from '../../invocation/async/async-invocations.ts';
import type { AsyncTask } from '../../model/async-task.ts';
import { jsonBody } from './json-body.ts';
import { noSuchMethod, type ThawAnswer, type ThawCall, type ThawResource } from './thaw-resource.ts';

const SHOWN_BYTES_MAX = 1024 * 1024;

/**
 * `/thaw/v1/dead-letters`: asynchronous invocations that failed for good or grew too old, the newest first.
 *
 *   GET    dead-letters[?functionName=&limit=&after=]      POST dead-letters/redrive, dead-letters/purge
 *   GET    dead-letters/<function>/<task>                  POST dead-letters/<function>/<task>/redrive
 *   DELETE dead-letters/<function>/<task>
 */
export class DeadLettersResource implements ThawResource {
  readonly #invocations: AsyncInvocations;

  constructor(invocations: AsyncInvocations) {
    this.#invocations = invocations;
  }

  owns([collection]: readonly string[]): boolean {
    return collection === 'dead-letters';
  }

  async handle(call: ThawCall): Promise<ThawAnswer> {
    const [, first = '', taskId = '', action, ...rest] = call.segments;
    if (rest.length > 0) throw nothingAt(call);
    if (first === '') return this.#list(call);
    if (taskId === '') return this.#many(call, first);
    if (action === 'redrive') {
      if (call.method !== 'POST') throw noSuchMethod(call);
      return { status: 202, json: await this.#invocations.redrive(first, taskId) };
    }
    if (action !== undefined) throw nothingAt(call);
    if (call.method === 'GET') return { json: await this.#shown(first, taskId) };
    if (call.method !== 'DELETE') throw noSuchMethod(call);
    await this.#invocations.removeDeadLetter(first, taskId);
    return { status: 204 };
  }

  async #list(call: ThawCall): Promise<ThawAnswer> {
    if (call.method !== 'GET') throw noSuchMethod(call);
    const { limit, ...given } = Object.fromEntries(call.parameters);
    const input = limit === undefined ? given : { ...given, limit: Number(limit) };
    const { tasks, next } = await this.#invocations.deadLetters(parseFc(deadLettersInput, input));
    return { json: { deadLetters: tasks.map(bodyOf), next } };
  }

  /** One page of them; the caller goes on with `next`. One that cannot be done holds up no other. */
  async #many(call: ThawCall, action: string): Promise<ThawAnswer> {
    if (action !== 'redrive' && action !== 'purge') throw nothingAt(call);
    if (call.method !== 'POST') throw noSuchMethod(call);
    const input = parseFc(deadLettersInput, call.body.length === 0 ? {} : jsonBody(call.body));
    const { tasks, next } = await this.#invocations.deadLetters(input);
    const done: object[] = [];
    const failed: object[] = [];
    await Promise.all(
      tasks.map(async ({ functionName, taskId }) => {
        try {
          if (action === 'redrive') {
            done.push({ functionName, taskId, ...(await this.#invocations.redrive(functionName, taskId)) });
          } else {
            await this.#invocations.removeDeadLetter(functionName, taskId);
            done.push({ functionName, taskId });
          }
        } catch (thrown) {
          const { code, message } = ThawError.from(thrown, `${action} of task '${taskId}'`);
          failed.push({ functionName, taskId, code, message });
        }
      }),
    );
    return { json: { [action === 'redrive' ? 'redriven' : 'purged']: done, failed, next } };
  }

  async #shown(functionName: string, taskId: string): Promise<object> {
    const task = await this.#invocations.requireDeadLetter(functionName, taskId);
    const bytes = await this.#invocations.wholeBytes(task, 'payload', SHOWN_BYTES_MAX);
    return {
      ...bodyOf(task),
      ...(bytes === undefined ? {} : textField('payload', bytes)),
      events: task.events,
    };
  }
}

function nothingAt({ path }: ThawCall): ThawError {
  return new ThawError('PATH_NOT_SUPPORTED', `there is nothing at ${path}`);
}

function bodyOf(task: AsyncTask): object {
  return {
    functionName: task.functionName,
    taskId: task.taskId,
    qualifier: task.qualifier,
    requestId: task.requestId,
    trigger: task.trigger,
    status: task.status,
    enqueuedTime: task.enqueuedAt,
    endTime: task.endedAt,
    tries: task.tries,
    error: task.error,
    payloadSize: task.payload.size,
    destinationStatus: task.destinationStatus,
  };
}
