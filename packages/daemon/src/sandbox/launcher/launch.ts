import type { SandboxSpec } from '../sandbox.ts';
import type { DriverName } from './messages.ts';

/** What a driver makes ready for one start. */
export interface Launch {
  readonly program: string;
  readonly args: readonly string[];
  /** Directory of the host to start in, where the program does not go to the working directory itself. */
  readonly directory: string | undefined;
  /** Open files for the program's descriptors from 3 on; the launcher closes its copies after the fork. */
  readonly files: readonly number[];
  /** bwrap's status, on the descriptor after `files`: which process is the first one inside, and how it ended. */
  readonly reportsStatus: boolean;
  /** Processes of the driver's own that live as long as the sandbox does. */
  readonly ownProcesses: number;
  /** Called once when every process of the sandbox is gone, or when it was not started. */
  release(): void;
}

/** The launcher's half of a driver. */
export interface LaunchDriver {
  readonly name: DriverName;
  readonly shortcomings: readonly string[];
  prepare(spec: SandboxSpec): Promise<Launch>;
  close(): Promise<void>;
}
