import { assertNever } from '../base/assert-never.ts';

/**
 * Where one instance stands.
 *
 * ```
 * starting ─▶ initializing ─▶ idle ⇄ busy
 *     └───────────▶────────────┘       any but stopped ─▶ draining ─▶ stopped
 * ```
 *
 * - `starting`: the sandbox, the runtime and the user's code come up. Serves nothing.
 * - `initializing`: the user's initializer runs. Serves nothing.
 * - `idle`: ready, no invocation. May be drained to make room.
 * - `busy`: `inFlight` invocations, at least one.
 * - `draining`: takes no new invocation; ends when the last one does.
 * - `stopped`: its processes are gone. Nothing follows.
 */
export type InstanceState =
  | { readonly name: 'starting' }
  | { readonly name: 'initializing' }
  | { readonly name: 'idle'; readonly sinceMs: number }
  | { readonly name: 'busy'; readonly inFlight: number }
  | { readonly name: 'draining'; readonly inFlight: number }
  | { readonly name: 'stopped' };

export type InstanceEvent =
  /** The runtime reports that the code is loaded and the initializer begins. */
  | { readonly type: 'initializing' }
  | { readonly type: 'ready'; readonly atMs: number }
  | { readonly type: 'slotTaken' }
  | { readonly type: 'slotReleased'; readonly atMs: number }
  | { readonly type: 'drain' }
  | { readonly type: 'exited' };

/** The state that follows, or undefined where the event cannot happen: the caller made a programmer's mistake. */
export function nextState(state: InstanceState, event: InstanceEvent): InstanceState | undefined {
  if (event.type === 'exited') return { name: 'stopped' };
  switch (state.name) {
    case 'starting':
      if (event.type === 'initializing') return { name: 'initializing' };
      if (event.type === 'ready') return { name: 'idle', sinceMs: event.atMs };
      if (event.type === 'drain') return { name: 'draining', inFlight: 0 };
      return undefined;
    case 'initializing':
      if (event.type === 'ready') return { name: 'idle', sinceMs: event.atMs };
      if (event.type === 'drain') return { name: 'draining', inFlight: 0 };
      return undefined;
    case 'idle':
      if (event.type === 'slotTaken') return { name: 'busy', inFlight: 1 };
      if (event.type === 'drain') return { name: 'draining', inFlight: 0 };
      return undefined;
    case 'busy':
      if (event.type === 'slotTaken') return { name: 'busy', inFlight: state.inFlight + 1 };
      if (event.type === 'slotReleased') {
        return state.inFlight === 1
          ? { name: 'idle', sinceMs: event.atMs }
          : { name: 'busy', inFlight: state.inFlight - 1 };
      }
      if (event.type === 'drain') return { name: 'draining', inFlight: state.inFlight };
      return undefined;
    case 'draining':
      if (event.type === 'slotReleased' && state.inFlight > 0) {
        return { name: 'draining', inFlight: state.inFlight - 1 };
      }
      // A runtime that reports progress after it was told to go changes nothing.
      if (event.type === 'drain' || event.type === 'initializing' || event.type === 'ready') return state;
      return undefined;
    case 'stopped':
      // The exit is told from several sides; what they say later is no news.
      if (event.type === 'slotReleased' || event.type === 'drain') return state;
      return undefined;
    default:
      return assertNever(state, 'instance state');
  }
}

export function inFlightOf(state: InstanceState): number {
  return state.name === 'busy' || state.name === 'draining' ? state.inFlight : 0;
}
