import type { IncomingMessage, ServerResponse } from 'node:http';
import { LIMITS } from '@thaw/protocol/limits.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { RoutingTable } from '../../catalog/routing-table.ts';
import { sendAccepted } from '../../gateway/accepted-answer.ts';
import type { Arrival, Door } from '../../gateway/door.ts';
import { InvocationResponse } from '../../gateway/invocation-response.ts';
import { invocationTypeOf } from '../../gateway/invocation-type.ts';
import { plainHeaders } from '../../gateway/plain-headers.ts';
import type { RequestVerifier, VerifiedHead } from '../../gateway/signature/request-verifier.ts';
import type { AsyncSubmitter } from '../../invocation/async/async-request.ts';
import { replayTaskId } from '../../invocation/async/replay-task-id.ts';
import { collectBody } from '../../invocation/collect-body.ts';
import { Invocation, type InvocationDeps } from '../../invocation/invocation.ts';
import { payloadOf, type Replays } from '../../invocation/replays.ts';
import { fcAnswerForm } from './fc-answer-form.ts';
import { sendControlResponse } from './fc-control-door.ts';
import { fcErrorResponse } from './fc-error.ts';
import { wantsLogTail } from './log-type.ts';

const PREFIX = '/thaw/v1/invocations/';
const SUFFIX = '/replay';

export interface ReplayDoorDeps {
  readonly invocation: InvocationDeps;
  readonly routes: RoutingTable;
  readonly verifier: RequestVerifier;
  readonly submitter: AsyncSubmitter;
  readonly replays: Replays;
}

/**
 * `POST /thaw/v1/invocations/<request id>/replay`: runs an invocation again from its stored input. Asked and answered
 * like InvokeFunction, `qualifier` and `x-fc-invocation-type` included, whatever caused the first run.
 */
export class ReplayDoor implements Door {
  readonly #deps: ReplayDoorDeps;

  constructor(deps: ReplayDoorDeps) {
    this.#deps = deps;
  }

  owns(method: string, path: string): boolean {
    return method === 'POST' && path.startsWith(PREFIX) && path.endsWith(SUFFIX);
  }

  handle(request: IncomingMessage, response: ServerResponse, arrival: Arrival): void {
    const refuse = (thrown: unknown): void => {
      request.resume();
      if (response.destroyed) return;
      const error = ThawError.from(thrown, 'running an invocation again');
      // What FC has no status for keeps its own.
      sendControlResponse(response, fcErrorResponse(error, arrival.requestId));
    };
    try {
      const { path, query } = arrival;
      const headers = plainHeaders(request);
      const head = this.#deps.verifier.verifyAcs3({ method: 'POST', path, query, headers });
      collectBody(request, LIMITS.controlBodyBytesMax, (tooLarge, body) => {
        if (tooLarge !== undefined) refuse(tooLarge);
        else this.#replay(request, response, arrival, head, body).catch(refuse);
      });
    } catch (error) {
      refuse(error);
    }
  }

  async #replay(
    request: IncomingMessage,
    response: ServerResponse,
    { path, query, requestId, acceptedMs }: Arrival,
    head: VerifiedHead,
    given: Buffer,
  ): Promise<void> {
    const { invocation, routes, verifier, submitter, replays } = this.#deps;
    verifier.requireBody(head, given);
    if (given.length > 0)
      throw new ThawError('INVALID_ARGUMENT', 'a replay has no body: its input is stored');
    const type = invocationTypeOf(request);
    const isLogWanted = wantsLogTail(request);
    const origin = path.slice(PREFIX.length, -SUFFIX.length);
    const input = await replays.require(origin);
    const { functionName, http, body, trigger } = input;
    const qualifier = new URLSearchParams(query).get('qualifier') ?? input.qualifier;
    if (type === 'Async') {
      const taskId = replayTaskId(origin);
      const asked = { functionName, qualifier, payload: body, http, requestId, taskId, trigger };
      sendAccepted(response, requestId, await submitter.submit(asked));
      return;
    }
    const runnable = routes.resolve(functionName, qualifier, Math.random());
    if (response.destroyed) return;
    const answer = new InvocationResponse(response, fcAnswerForm);
    const replay = new Invocation(
      invocation,
      {
        requestId,
        runnable,
        qualifier,
        trigger,
        replayOf: origin,
        payload: payloadOf(input),
        acceptedMs,
        wantsLogTail: isLogWanted,
      },
      answer,
    );
    answer.follow(replay);
  }
}
