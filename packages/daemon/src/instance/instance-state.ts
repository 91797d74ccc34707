import { assertNever } from '../base/assert-never.ts';

/**
 * Where one instance stands.
 *
 * ```
 * starting ─▶ initializing ─▶ idle ⇄ busy             any but stopped ─▶ draining ─▶ stopped
 *     └───────────▶────────────┘ │ ▲    ▲
 *                    preFreezing ◀┘ │    │
 *                       └──────────▶┘    │
 *                          idle ─▶ frozen ─▶ thawing
 * ```
 *
 * - `starting`: the sandbox, the runtime and the user's code come up. Serves nothing.
 * - `initializing`: the user's initializer runs. Serves nothing.
 * - `idle`: ready, no invocation. May be drained to make room, and freezes after a grace.
 * - `preFreezing`: the hook before the freeze runs. Serves nothing until it has ended.
 * - `frozen`: gets no CPU. Serves after a thaw.
 * - `thawing`: is being continued for `inFlight` invocations, which wait; none if their callers have gone.
 * - `busy`: `inFlight` invocations, at least one.
 * - `draining`: takes no new invocation; ends when the last one does, and the hook before the stop after it.
 * - `stopped`: its processes are gone. Nothing follows.
 */
export type InstanceState =
  | { readonly name: 'starting' }
  | { readonly name: 'initializing' }
  /** `sinceMs` is the monotonic time of its last use in all three. */
  | { readonly name: 'idle' | 'preFreezing' | 'frozen'; readonly sinceMs: number }
  | { readonly name: 'busy' | 'draining' | 'thawing'; readonly inFlight: number }
  | { readonly name: 'stopped' };

export type InstanceEvent =
  /** The runtime reports that the code is loaded and the initializer begins. */
  | { readonly type: 'initializing' }
  | { readonly type: 'ready'; readonly atMs: number }
  | { readonly type: 'slotTaken' }
  | { readonly type: 'slotReleased'; readonly atMs: number }
  | { readonly type: 'preFreeze' }
  | { readonly type: 'preFreezeEnded' }
  | { readonly type: 'frozen' }
  | { readonly type: 'thawed'; readonly atMs: number }
  | { readonly type: 'drain' }
  | { readonly type: 'exited' };

/** The state that follows, or undefined where the event cannot happen: the caller made a programmer's mistake. */
export function nextState(state: InstanceState, event: InstanceEvent): InstanceState | undefined {
  if (event.type === 'exited') return { name: 'stopped' };
  if (event.type === 'drain' && state.name !== 'stopped') {
    return state.name === 'draining' ? state : { name: 'draining', inFlight: inFlightOf(state) };
  }
  switch (state.name) {
    case 'starting':
      if (event.type === 'initializing') return { name: 'initializing' };
      return event.type === 'ready' ? { name: 'idle', sinceMs: event.atMs } : undefined;
    case 'initializing':
      return event.type === 'ready' ? { name: 'idle', sinceMs: event.atMs } : undefined;
    case 'idle':
      if (event.type === 'slotTaken') return { name: 'busy', inFlight: 1 };
      if (event.type === 'preFreeze') return { name: 'preFreezing', sinceMs: state.sinceMs };
      return event.type === 'frozen' ? { name: 'frozen', sinceMs: state.sinceMs } : undefined;
    case 'preFreezing':
      return event.type === 'preFreezeEnded' ? { name: 'idle', sinceMs: state.sinceMs } : undefined;
    case 'frozen':
      return event.type === 'slotTaken' ? { name: 'thawing', inFlight: 1 } : undefined;
    case 'thawing':
      if (event.type === 'slotTaken') return { name: 'thawing', inFlight: state.inFlight + 1 };
      if (event.type === 'slotReleased' && state.inFlight > 0)
        return { name: 'thawing', inFlight: state.inFlight - 1 };
      return event.type === 'thawed' ? awake(state.inFlight, event.atMs) : undefined;
    case 'busy':
      if (event.type === 'slotTaken') return { name: 'busy', inFlight: state.inFlight + 1 };
      return event.type === 'slotReleased' ? awake(state.inFlight - 1, event.atMs) : undefined;
    case 'draining':
      if (event.type === 'slotTaken' || event.type === 'frozen' || event.type === 'preFreeze')
        return undefined;
      if (event.type !== 'slotReleased') return state;
      // What a runtime or a hook reports after the instance was told to go changes nothing.
      return state.inFlight > 0 ? { name: 'draining', inFlight: state.inFlight - 1 } : undefined;
    case 'stopped':
      // The exit is told from several sides; what they say later is no news.
      return event.type === 'slotTaken' || event.type === 'ready' || event.type === 'initializing'
        ? undefined
        : state;
    default:
      return assertNever(state, 'instance state');
  }
}

function awake(inFlight: number, atMs: number): InstanceState {
  return inFlight === 0 ? { name: 'idle', sinceMs: atMs } : { name: 'busy', inFlight };
}

export function inFlightOf(state: InstanceState): number {
  return 'inFlight' in state ? state.inFlight : 0;
}
