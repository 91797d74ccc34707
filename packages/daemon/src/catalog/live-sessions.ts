import { stat } from 'node:fs/promises';
import { isAbsolute } from 'node:path';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { FunctionVersion } from '../model/function.ts';
import type { AccountPlace } from './arn.ts';
import { newRevision } from './revision.ts';
import type { RoutingTable } from './routing-table.ts';
import { runnableVersion } from './runnable-version.ts';

/** While it is open, LATEST of one function runs from a directory of this host. */
export interface LiveSession {
  /** The directory's files changed: later requests go to new instances. */
  bump(): void;
  /** LATEST runs the stored code again. Closing twice does nothing. */
  close(): void;
}

interface OpenSession {
  readonly directory: string;
  latest: FunctionVersion;
  layerDirectory: string | undefined;
}

export interface LiveSessionsOptions {
  readonly routes: RoutingTable;
  readonly place: AccountPlace;
  readonly layerDirectoryOf: (version: FunctionVersion) => string | undefined;
}

/** The development overlay: in memory only, so a restart ends it. One session per function; a new one replaces it. */
export class LiveSessions {
  readonly #options: LiveSessionsOptions;
  readonly #sessions = new Map<string, OpenSession>();

  constructor(options: LiveSessionsOptions) {
    this.#options = options;
  }

  /** `requireLatest` reads the function's record. Throws INVALID_ARGUMENT or what `requireLatest` does. */
  async start(
    functionName: string,
    directory: string,
    requireLatest: () => FunctionVersion,
  ): Promise<LiveSession> {
    await requireDirectory(directory);
    const latest = requireLatest();
    const session = { directory, latest, layerDirectory: this.#options.layerDirectoryOf(latest) };
    this.#sessions.set(functionName, session);
    this.#route(functionName, session);
    return {
      bump: () => {
        if (this.#sessions.get(functionName) === session) this.#route(functionName, session);
      },
      close: () => {
        if (this.#sessions.get(functionName) === session) this.#end(functionName);
      },
    };
  }

  /** The function's configuration changed, or the function is gone, which ends its session. */
  onLatest(functionName: string, latest: FunctionVersion | undefined): void {
    const session = this.#sessions.get(functionName);
    if (session === undefined) return;
    if (latest === undefined) {
      this.#end(functionName);
      return;
    }
    session.latest = latest;
    session.layerDirectory = this.#options.layerDirectoryOf(latest);
    this.#route(functionName, session);
  }

  #route(functionName: string, session: OpenSession): void {
    const version = { ...session.latest, revision: newRevision() };
    const directories = { codeDirectory: session.directory, layerDirectory: session.layerDirectory };
    this.#options.routes.setLive(functionName, runnableVersion(version, directories, this.#options.place));
  }

  #end(functionName: string): void {
    this.#sessions.delete(functionName);
    this.#options.routes.setLive(functionName, undefined);
  }
}

async function requireDirectory(directory: string): Promise<void> {
  const problem = (what: string, cause?: unknown): ThawError =>
    new ThawError('INVALID_ARGUMENT', `the live directory '${directory}' ${what}`, { cause });
  if (!isAbsolute(directory)) throw problem('must be an absolute path');
  let isDirectory: boolean;
  try {
    isDirectory = (await stat(directory)).isDirectory();
  } catch (error) {
    throw problem('cannot be read', error);
  }
  if (!isDirectory) throw problem('is not a directory');
}
