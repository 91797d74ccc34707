import type { Client } from './api/client.ts';
import type { Platform } from './api/platform.ts';
import type { Output } from './output/output.ts';

/** A command as data: what commander needs to parse it, what `--help` shows, and what to run. */
export interface Command {
  /** One or two words: `deploy`, `function list`. */
  readonly name: string;
  /** One line, for the list of commands. */
  readonly summary: string;
  /** Further paragraphs of `--help`. */
  readonly details?: string;
  readonly arguments?: readonly CommandArgument[];
  readonly options?: readonly CommandOption[];
  readonly examples: readonly CommandExample[];
  /** The command handles SIGINT, SIGTERM and SIGHUP itself. */
  readonly ownsSignals?: boolean;
  /**
   * Answers the exit code; nothing means 0. The options' type is the command's own: they are what its `options` say,
   * and commander has read them.
   */
  readonly run: (context: CommandContext, args: readonly string[], options: never) => Promise<number | void>;
}

export interface CommandArgument {
  readonly name: string;
  readonly summary: string;
  readonly optional?: boolean;
}

export interface CommandOption {
  /** Commander's notation: `-t, --template <file>`. */
  readonly flags: string;
  readonly summary: string;
  readonly default?: unknown;
  readonly choices?: readonly string[];
  /** May be given several times; gathers its values. */
  readonly many?: boolean;
  /** Turns the text into the value; throws a `ThawError` that says what the option takes. */
  readonly parse?: (text: string) => unknown;
}

export interface CommandExample {
  readonly run: string;
  readonly does: string;
}

/** What every command is handed. */
export interface CommandContext {
  readonly output: Output;
  readonly signal: AbortSignal;
  readonly environment: NodeJS.ProcessEnv;
  /** The data directory that was asked for, absolute, the default included. */
  readonly dataDir: string;
  /** Finds the platform and opens a client on it, once; it is closed when the command ends. */
  readonly connect: () => Promise<Client>;
  readonly findPlatform: () => Promise<Platform>;
}
