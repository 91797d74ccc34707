import type { MountedImage } from '../image/image-mounter.ts';
import type { RunnableVersion } from '../model/runnable.ts';
import type { Sandbox, SandboxDriver, SandboxSpec } from '../sandbox/sandbox.ts';
import type { RuntimeConnection } from '../transport/runtime-connection.ts';
import type { InstanceAccess } from './instance-access.ts';
import type { InstanceFiles } from './instance-layout.ts';
import type { Interpreter } from './interpreters.ts';
import type { Shims } from './shims.ts';
import type { Stem } from './stem/stem.ts';

/** How a kind of runtime is started and reached: one object for each instance, from before its sandbox until after it. */
export interface RuntimeEndpoint {
  /** What to start. */
  readonly spec: SandboxSpec;
  /** Longest time from the start until `onBooted`. */
  readonly bootMsMax: number;
  /** Present from `onBooted` on. */
  readonly connection: RuntimeConnection | undefined;
  /** Makes ready what the runtime will look for: sockets, files. Nothing runs yet. */
  open(): Promise<void>;
  /** In the place of `open`: a stem has become the sandbox. Absent where none can. Throws when it is broken. */
  adopt?(stem: Stem): void;
  /** The sandbox runs; a kind that connects to its runtime begins now. */
  onSandbox(sandbox: Sandbox): void;
  /** After the sandbox's exit: settles when what the runtime said last has been read and told. */
  ended?(): Promise<void>;
  /** Lets go of everything; the connection, if any, is closed. Closing twice does nothing. */
  close(): void;
}

/** What an endpoint is made of. */
export interface EndpointContext {
  readonly runnable: RunnableVersion;
  readonly instanceId: string;
  readonly interpreters: readonly Interpreter[];
  readonly shims: Shims;
  readonly files: InstanceFiles;
  readonly driver: SandboxDriver['name'];
  /** Present exactly for functions in images. */
  readonly root: MountedImage | undefined;
  /** What the function may use of the platform; `runnable.environment` names it already. */
  readonly access: InstanceAccess | undefined;
  /** A line for the function's log. */
  readonly note: (text: string) => void;
}
