import type { LoopbackListener } from './loopback-listener.ts';

/**
 * What holds an instance's processes. A driver starts sandboxes; the launcher process does the work, so that the
 * gateway never forks.
 *
 * Contract of every driver (each number is named by the contract suite):
 *  1. `start` resolves when the first process runs with all limits in force, or rejects (SANDBOX_FAILED) with nothing
 *     left behind.
 *  2. `exited` settles exactly once, after every process of the sandbox is gone, whoever ended it, and says how the
 *     first process ended and whether the kernel killed for lack of memory.
 *  3. `kill` ends every process at once, also frozen ones; killing twice or after the exit does nothing.
 *  4. `freeze` stops every process and returns when all are stopped; `thaw` continues them. Both are idempotent.
 *  5. What is not in the mounts cannot be seen; read-only mounts cannot be written (drivers that isolate files).
 *  6. The limits (memory, CPU, processes, temporary files) hold, or `shortcomings` of the driver says which do not.
 *  7. When the launcher or the daemon dies, every sandbox dies; what a dead launcher left is cleared by the next.
 *  8. Where the specification asks for them, stdin and stdout are one connection to the daemon, and the daemon listens
 *     inside the sandbox's network, from before the command runs.
 *  9. `specialize` gives a sandbox with late targets its directories, read-only, and its limits while it runs; it resolves
 *     when both are in force. A driver that cannot says why in `cannotSpecialize`, and refuses late targets.
 */
export interface SandboxDriver {
  readonly name: 'bubblewrap' | 'process';
  /** What holds here and what does not, in words for the operator; empty when everything does. */
  readonly shortcomings: readonly string[];
  /** Why sandboxes cannot be changed once they run; undefined where they can. */
  readonly cannotSpecialize: string | undefined;
  start(spec: SandboxSpec): Promise<Sandbox>;
}

export interface SandboxMount {
  /** Path on the host. */
  readonly source: string;
  /** Path inside. */
  readonly target: string;
  readonly readOnly: boolean;
}

/** A directory that comes into a running sandbox, read-only. */
export interface LateMount {
  /** Path on the host. */
  readonly source: string;
  /** One of the specification's `lateTargets`. */
  readonly target: string;
}

/** What turns a sandbox that was made for nobody in particular into a function's own. */
export interface SandboxChange {
  readonly mounts: readonly LateMount[];
  /** The limits of `SandboxSpec` by their names there. The memory must not be less than what the sandbox started with. */
  readonly memoryBytesMax: number;
  readonly cpu: number | undefined;
  readonly cpuShare: number;
  readonly temporaryBytesMax: number;
}

export interface SandboxSpec {
  /** Unique on this machine; file-name safe, at most 64 characters. */
  readonly id: string;
  readonly command: readonly [string, ...string[]];
  /** The complete environment: nothing is inherited. */
  readonly environment: Readonly<Record<string, string>>;
  /** Path inside. With the process driver it is a path of the host, and so is everything in `command`. */
  readonly workingDirectory: string;
  /**
   * On top of the driver's base root (the host's programs and libraries, read-only). The command runs as a user of its
   * own, so what it reads must be readable by others, and a unix socket that it connects to writable by others (mode
   * 666, in a directory that is not reachable on the host); a socket works in a read-only mount too.
   */
  readonly mounts: readonly SandboxMount[];
  /** Whose files the sandbox sees; absent: the driver's base root. Drivers without mounts refuse it. */
  readonly root?: SandboxRoot | undefined;
  /** What runs it where that is to be said; absent: the platform's driver. Only sandboxes with a root of their own. */
  readonly runtime?: ContainerRuntime | undefined;
  readonly memoryBytesMax: number;
  /** Cores at most; undefined: as many as the machine has. */
  readonly cpu: number | undefined;
  /** Share of the CPU against other sandboxes when there is not enough for all, in the unit of MB of memory. */
  readonly cpuShare: number;
  /** Processes and threads together, as the kernel counts. */
  readonly processesMax: number;
  /** For `/tmp`. What is in it counts as memory, so the smaller of this and `memoryBytesMax` holds. */
  readonly temporaryBytesMax: number;
  /** `private`: a network of its own with a way out; `none`: no way out. */
  readonly network: 'private' | 'none';
  /** A TCP port inside that the daemon is to reach. It is reached with `network: none` too. */
  readonly server?: SandboxServer;
  /**
   * Unix socket on which the daemon receives stdout and stderr. The launcher connects once for each and writes a line,
   * `stdout <id>` or `stderr <id>`; all that follows comes from the sandbox, until its last process has let go of it.
   * Since they are sockets, `/dev/stdout` and `/dev/stderr` cannot be opened by name inside.
   */
  readonly outputSocket: string;
  /**
   * Unix socket of the daemon's that becomes stdin and stdout of the command, both ways on one connection: what the
   * daemon writes is read, what the command writes is received, and stderr alone goes to `outputSocket`. Absent: stdin
   * is empty.
   */
  readonly stdioSocket?: string | undefined;
  /**
   * Port of the sandbox's own loopback on which the daemon listens (`Sandbox.listener`), before the command runs. The
   * socket is made inside the sandbox's network, so that nothing but the sandbox reaches it. Drivers without networks of
   * their own refuse it.
   */
  readonly loopbackPort?: number | undefined;
  /** Directories inside that are empty until `specialize` fills them. Absent: there will be no such call. */
  readonly lateTargets?: readonly string[] | undefined;
  /**
   * Command of a program of ours that forks `command` ready booted into sandboxes (`runtimes/python/zygote.py`), with the
   * same mounts and environment. A driver that cannot do that starts `command`.
   */
  readonly zygote?: readonly [string, ...string[]] | undefined;
  /** What makes a sandbox and becomes `command` in it, where that is cheaper than the driver's own program. */
  readonly maker?: SandboxMaker | undefined;
}

/** Python with `zygote.py`, which shares nothing with the sandbox that it makes: all of it is replaced by the command. */
export interface SandboxMaker {
  /** A Python of the base root. */
  readonly python: string;
  /** On the host, with `zygote.py` in it. */
  readonly directory: string;
}

/** Runtimes of the Open Container Initiative; `runsc` is gVisor. */
export type ContainerRuntime = 'runc' | 'runsc';

/**
 * The root of a sandbox that runs from an image: the image's files and over them a layer of its own, to write to. Where the
 * platform is root its ids are those inside, moved by `imageIds()` on the host; otherwise everything belongs to `user`.
 */
export interface SandboxRoot {
  /** Directory on the host that nobody writes to. */
  readonly lower: string;
  /** For what the sandbox writes; it counts as memory, so the smaller of this and `memoryBytesMax` holds. */
  readonly writableBytesMax: number;
  /** Whom the command runs as, in ids of the image. */
  readonly user: { readonly uid: number; readonly gid: number; readonly groups: readonly number[] };
  /** Made for the user, since the image has it not. */
  readonly missingDirectory: string | undefined;
}

export interface SandboxServer {
  readonly port: number;
  /**
   * Path of a unix socket on the host, in a directory that exists: where the sandbox's network has no address on the
   * host, the launcher makes this lead to the port as soon as something listens there.
   */
  readonly relaySocket: string;
}

/** Where a connection from the host leads to a sandbox's port; `net.connect` takes it as it is. */
export type ServerAddress = { readonly host: string; readonly port: number } | { readonly path: string };

export interface Sandbox {
  readonly id: string;
  /** Process id on the host of the sandbox's outermost process. */
  readonly pid: number;
  readonly exited: Promise<SandboxExit>;
  /** Listens at the specification's `loopbackPort`, until the exit at the latest. */
  readonly listener?: LoopbackListener | undefined;
  /** Of `spec.server`; undefined where there is none or this machine has no way to it. */
  readonly serverAddress: ServerAddress | undefined;
  freeze(): Promise<void>;
  thaw(): Promise<void>;
  /** Once, and only where the specification has late targets. Rejects with SANDBOX_FAILED; then it is only to be killed. */
  specialize(change: SandboxChange): Promise<void>;
  kill(): void;
  /** Most memory in use at any time so far, in bytes; undefined where nothing measures it. */
  memoryBytesPeak(): number | undefined;
}

export interface SandboxExit {
  /** Exit code, or null when a signal ended it. bubblewrap gives 128 + n for signal n, so such codes count as signals. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly outOfMemory: boolean;
}
