import type { ClientRequest } from 'node:http';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { apiError } from '../api/api-error.ts';
import { type Client, nativePath } from '../api/client.ts';
import { readNdjson } from '../api/ndjson.ts';

/** A revision, or an error in the API's shape where the directory cannot be run from. */
interface Answer {
  readonly revision?: string;
  readonly Code?: string;
  readonly Message?: string;
}

/**
 * While it is open, the platform runs a function from a directory of this machine instead of its deployed code. Every
 * line sent (the first names the directory, later ones say "changed") is answered with the revision that requests get
 * from then on. The platform goes back to the deployed code when the connection closes.
 */
export class LiveSession {
  readonly functionName: string;
  readonly directory: string;
  /** Settles when the connection has ended: fulfilled after `close`, rejected when the platform ended it. */
  readonly ended: Promise<void>;
  readonly #request: ClientRequest;
  /** Answers come in the order of the lines sent. */
  readonly #waiting: ((revision: string) => void)[] = [];
  #isClosed = false;

  private constructor(functionName: string, directory: string, request: ClientRequest, ended: Promise<void>) {
    this.functionName = functionName;
    this.directory = directory;
    this.#request = request;
    this.ended = ended;
  }

  /** Resolves once the directory is what runs. */
  static async open(client: Client, functionName: string, directory: string): Promise<LiveSession> {
    const request = client.start({
      method: 'POST',
      path: nativePath('functions', functionName, 'live'),
      headers: { 'content-type': 'application/x-ndjson' },
    });
    // Edits are seconds apart; each must leave at once.
    request.setNoDelay(true);
    const { promise: ended, resolve, reject } = Promise.withResolvers<void>();
    const session = new LiveSession(functionName, directory, request, ended);
    const first = session.#send({ directory });
    session.#read(client).then(resolve, reject);
    await Promise.race([first, ended]);
    return session;
  }

  /** Tells of a change and resolves with the revision that has it; rejects when the session ends before. */
  async changed(): Promise<string> {
    const revision = this.#send({});
    const end = this.ended.then(() => undefined);
    const answer = await Promise.race([revision, end]);
    if (answer === undefined) throw this.#endedByPlatform();
    return answer;
  }

  close(): void {
    this.#isClosed = true;
    this.#request.destroy();
  }

  #send(line: object): Promise<string> {
    const { promise, resolve } = Promise.withResolvers<string>();
    this.#waiting.push(resolve);
    this.#request.write(`${JSON.stringify(line)}\n`);
    return promise;
  }

  async #read(client: Client): Promise<void> {
    try {
      const response = await client.response(this.#request);
      for await (const answer of readNdjson<Answer>(response)) {
        if (answer.Code !== undefined) throw apiError(400, JSON.stringify(answer), undefined);
        if (answer.revision !== undefined) this.#waiting.shift()?.(answer.revision);
      }
    } catch (error) {
      if (this.#isClosed) return;
      throw error;
    }
    if (!this.#isClosed) throw this.#endedByPlatform();
  }

  #endedByPlatform(): ThawError {
    return new ThawError('PLATFORM_UNREACHABLE', `the live session of ${this.functionName} ended`, {
      details: { advice: 'Was the function deleted, or the platform stopped? Run `thaw dev` again.' },
    });
  }
}
