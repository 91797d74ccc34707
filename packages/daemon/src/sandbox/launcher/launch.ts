import type { Readable, Writable } from 'node:stream';
import type { SandboxChange, SandboxSpec, ServerAddress } from '../sandbox.ts';
import type { DriverName } from './messages.ts';

export type ServerReach =
  | { readonly kind: 'direct'; readonly address: ServerAddress }
  /** By a process of ours in the sandbox's network: `nsenter` with these options joins it, given the sandbox's pid. */
  | { readonly kind: 'relay'; readonly nsenter: string; readonly options: readonly string[] };

/** A sandbox's outermost process, whoever's child it is. */
export interface OuterProcess {
  readonly pid?: number | undefined;
  readonly stdio: readonly (Readable | Writable | null | undefined)[];
  once(event: 'exit', listener: (code: number | null, signal: NodeJS.Signals | null) => void): unknown;
  once(event: 'error', listener: (error: Error) => void): unknown;
}

/** What carries the packets of one sandbox to the world. */
export interface Uplink {
  /** Resolves when its process is gone. */
  end(): Promise<void>;
}

/**
 * What a driver makes ready for one start. Its program reads one descriptor more (after the files, and after the status if
 * it reports one) and holds the command back until a line has come: limits and listeners must stand first.
 */
export interface Launch {
  readonly program: string;
  readonly args: readonly string[];
  /** Directory of the host to start in, where the program does not go to the working directory itself. */
  readonly directory: string | undefined;
  /** Open files for the program's descriptors from 3 on; the launcher closes its copies after the fork. */
  readonly files: readonly number[];
  /** bwrap's status, on the descriptor after `files`: which process is the first one inside, and how it ended. */
  readonly reportsStatus: boolean;
  /** Ends with 128 + n where signal n ended the command, as a shell does. bwrap always does. */
  readonly foldsSignals?: boolean;
  /** How far the command is, where it is a runtime that starts it and has not become it. */
  readonly progress?: { isRunning(): boolean; failure(): string | undefined } | undefined;
  /** What runs a program in the network of the sandbox whose outermost process is this one. */
  readonly enterNetwork: ((pid: number) => readonly [string, ...string[]]) | undefined;
  /** Connects the network of the sandbox whose outermost process is this one, where it does not come connected. */
  readonly connectNetwork: ((pid: number) => Promise<Uplink>) | undefined;
  /** Processes of the driver's own that live as long as the sandbox does. */
  readonly ownProcesses: number;
  /** In the place of the program: forks the sandbox, given the directories of its cgroups, which it enters itself. */
  readonly fork?: ((cgroups: readonly string[]) => Promise<OuterProcess>) | undefined;
  /** Makes the late mounts; present where the specification has late targets. Throws. */
  readonly specialize?: ((change: SandboxChange) => void) | undefined;
  /** After `specialize`, when whoever asked for it has been answered. */
  readonly afterSpecialize?: (() => void) | undefined;
  /** How the host reaches `spec.server`. */
  readonly reach: ServerReach | undefined;
  /** Called once when every process of the sandbox is gone, or when it was not started. */
  release(): void;
}

/** The launcher's half of a driver. */
export interface LaunchDriver {
  readonly name: DriverName;
  readonly shortcomings: readonly string[];
  /** Whether it bounds the processes of a sandbox without a cgroup. */
  readonly limitsProcesses: boolean;
  /** Why sandboxes cannot be changed once they run; undefined where they can. */
  readonly cannotSpecialize: string | undefined;
  prepare(spec: SandboxSpec): Promise<Launch>;
  close(): Promise<void>;
}
