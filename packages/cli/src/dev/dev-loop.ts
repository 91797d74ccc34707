import { dirname, join, relative } from 'node:path';
import { stat } from 'node:fs/promises';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Client } from '../api/client.ts';
import { readLogs } from '../api/logs.ts';
import type { CommandContext } from '../command.ts';
import { deployProject } from '../deploy/deploy-project.ts';
import { formatMs } from '../output/format.ts';
import { formatLogLine } from '../output/log-line.ts';
import { errorReport, errorLines } from '../output/report-error.ts';
import type { Project, Resource } from '../s-yaml/resource.ts';
import { readSYaml } from '../s-yaml/read-s-yaml.ts';
import { LiveSession } from './live-session.ts';
import { watchCode, watchPaths } from './watch-code.ts';

/**
 * Runs a project's functions from their directories until it is interrupted or the platform goes away. A change of the
 * s.yaml ends one round (sessions, watchers, logs) and starts the next with what the file says then.
 */
export class DevLoop {
  readonly #context: CommandContext;
  readonly #client: Client;
  readonly #file: string;

  constructor(context: CommandContext, client: Client, file: string) {
    this.#context = context;
    this.#client = client;
    this.#file = file;
  }

  /** Resolves when interrupted; throws when the first deployment fails or a session is ended by the platform. */
  async run(): Promise<void> {
    const { output, signal } = this.#context;
    let project = await readSYaml(this.#file, this.#context.environment);
    const { failure } = await deployProject({ client: this.#client, output, signal }, project.resources);
    if (failure !== undefined) throw failure;
    while (!signal.aborted) project = (await this.#round(project)) ?? project;
  }

  /** Answers the project of the next round. */
  async #round(project: Project): Promise<Project | undefined> {
    const { output, signal } = this.#context;
    await using round = new AsyncDisposableStack();
    const { promise: over, resolve: finish, reject: fail } = Promise.withResolvers<void>();
    signal.addEventListener('abort', () => finish(), { once: true });
    const settings = [project.file, join(dirname(project.file), '.env')];
    round.use(await watchPaths(settings, () => finish()));
    const names: string[] = [];
    for (const resource of project.resources) {
      const session = await this.#open(resource);
      if (session === undefined) continue;
      round.defer(() => session.close());
      session.ended.catch(fail);
      round.use(await watchCode(session.directory, (path) => void this.#reload(session, path)));
      names.push(session.functionName);
    }
    const logs = new AbortController();
    round.defer(() => logs.abort());
    for (const name of names) this.#followLogs(name, names.length > 1, logs.signal).catch(fail);
    output.event({ event: 'watching', functions: names }, () =>
      output.style('dim', `watching ${names.join(', ')}; Ctrl-C ends`),
    );
    await over;
    return signal.aborted ? undefined : this.#redeploy();
  }

  async #open(resource: Resource): Promise<LiveSession | undefined> {
    const { functionName } = resource.props;
    const directory = resource.codePath;
    if (directory === undefined || !(await stat(directory)).isDirectory()) {
      this.#context.output.warn(`${functionName}: its code is no directory, so it is not watched`);
      return undefined;
    }
    try {
      return await LiveSession.open(this.#client, functionName, directory);
    } catch (error) {
      // It could not be deployed, which was said; the next change of the file may do it.
      if (error instanceof ThawError && error.code === 'FUNCTION_NOT_FOUND') return undefined;
      throw error;
    }
  }

  /** A change that cannot be put in place is said and the loop goes on: the next one may be right. */
  async #reload(session: LiveSession, path: string): Promise<void> {
    const { output } = this.#context;
    const { functionName, directory } = session;
    const startedAt = performance.now();
    try {
      const revision = await session.changed();
      const ms = performance.now() - startedAt;
      const change = { functionName, path: relative(directory, path), revision, ms };
      output.event({ event: 'reloaded', ...change }, () =>
        output.style('green', `${functionName}: ${change.path} changed, reloaded in ${formatMs(ms)}`),
      );
    } catch (error) {
      if (!this.#context.signal.aborted) this.#report(error, `reloading ${functionName}`);
    }
  }

  async #redeploy(): Promise<Project | undefined> {
    const { output, signal, environment } = this.#context;
    try {
      const project = await readSYaml(this.#file, environment);
      await deployProject({ client: this.#client, output, signal }, project.resources);
      return project;
    } catch (error) {
      if (!signal.aborted) this.#report(error, `reading ${this.#file}`);
      return undefined;
    }
  }

  async #followLogs(name: string, withName: boolean, signal: AbortSignal): Promise<void> {
    const { output } = this.#context;
    try {
      const query = { sinceMs: Date.now(), follow: true, signal };
      for await (const line of readLogs(this.#client, name, query)) {
        output.event({ event: 'log', ...line }, () => formatLogLine(output, line, withName));
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  #report(error: unknown, doing: string): void {
    const { output } = this.#context;
    const report = errorReport(ThawError.from(error, doing));
    output.stderr.write(`${errorLines(output, report).join('\n')}\n`);
  }
}
