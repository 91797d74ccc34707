import type { FunctionErrorBody } from '@thaw/protocol/thaw-error.ts';
import type { HandlerKind, LogSource, ReportedError, Transport } from './transport.ts';

export type HookName = 'preFreeze' | 'preStop' | 'postThaw';

/** What an instance has of its runtime once it is up: it serves, and it runs hooks. */
export interface RuntimeConnection extends Transport {
  /** Calls back once when the hook has ended, with its error if it had one; a connection that closes is one. */
  runHook(hook: HookName, onEnd: (error: ReportedError | undefined) => void): void;
}

export interface StartFailure {
  readonly phase: 'load' | 'initializer';
  readonly error: FunctionErrorBody;
}

/** What a runtime tells on its way up and besides invocations, in this order; `onStartFailed` may take any later place. */
export interface RuntimeEvents {
  /** The language runtime runs; the user's code is not loaded yet, or cannot be told apart from it. */
  onBooted(): void;
  /** The code is loaded and the initializer runs. */
  onInitializing(): void;
  onReady(handlerKind: HandlerKind): void;
  onStartFailed(failure: StartFailure): void;
  /** Text that belongs to no invocation. */
  onLog(source: LogSource, text: string): void;
  /**
   * The runtime is gone. Comes before its open exchanges and hooks end, so that nobody takes the end of one for a slot
   * that came free; nothing may be asked of the connection from here on.
   */
  onClosed(cause: unknown): void;
}
