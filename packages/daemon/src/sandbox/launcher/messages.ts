import type { SandboxChange, SandboxExit, SandboxSpec, ServerAddress } from '../sandbox.ts';

/** What the daemon and its launcher say to each other over the child's IPC channel, as JSON. */
export type LauncherRequest =
  | { readonly type: 'open'; readonly options: LauncherOptions }
  | { readonly type: 'start'; readonly spec: SandboxSpec }
  | { readonly type: SignalVerb; readonly request: number; readonly id: string }
  | {
      readonly type: 'specialize';
      readonly request: number;
      readonly id: string;
      readonly change: SandboxChange;
    }
  | { readonly type: 'kill'; readonly id: string }
  | { readonly type: 'close' };

export type SignalVerb = 'freeze' | 'thaw';

export type LauncherEvent =
  | {
      readonly type: 'opened';
      readonly driver: DriverName;
      readonly shortcomings: string[];
      readonly warnings: string[];
      readonly cannotSpecialize: string | undefined;
    }
  | { readonly type: 'refused'; readonly reason: string }
  | {
      readonly type: 'started';
      readonly id: string;
      readonly pid: number;
      readonly memoryPeakFile: string | undefined;
      readonly freezeFile: string | undefined;
      readonly serverAddress: ServerAddress | undefined;
    }
  /** Comes with the listening socket itself, before the sandbox's `started`. */
  | { readonly type: 'listener'; readonly id: string }
  | { readonly type: 'startFailed'; readonly id: string; readonly reason: string }
  | { readonly type: 'exited'; readonly id: string; readonly exit: SandboxExit }
  | { readonly type: 'done'; readonly request: number; readonly failure: string | undefined }
  | { readonly type: 'note'; readonly text: string };

export type DriverName = 'bubblewrap' | 'process';
export type Isolation = 'auto' | DriverName;

export interface LauncherOptions {
  /** A directory of this platform alone; it names everything that the launcher makes on the machine. */
  readonly runDirectory: string;
  readonly isolation: Isolation;
  /** Whether a thread of the launcher makes networks and takes mounts away, where this Node can; programs do otherwise. */
  readonly kernelThread: boolean;
  /** Networks made ahead of use, where the platform makes them; 0: each when it is wanted. */
  readonly spareNetworks: number;
  /** The same while nothing has been started for some seconds; 0: no more than otherwise. */
  readonly idleNetworks: number;
}
