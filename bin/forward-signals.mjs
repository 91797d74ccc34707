/** Plain JavaScript for any Node from 18 on; bin/ and scripts/ share it. */

export const FORWARDED_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'];

/**
 * How long to wait for the child's word that a signal reached it directly before passing it on. A terminal signals the
 * whole foreground group, `kill` only us; passing on what the child already has would be a second Ctrl-C to it.
 */
export const SIGNAL_NOTICE_MS = 200;

/**
 * Passes signals on to a `thaw` that was started with an `ipc` channel and THAW_WRAPPER=1, unless they reached it too.
 * `onSignal` is told of each at once.
 */
export function forwardSignals(child, onSignal = () => undefined) {
  const noticedAt = new Map();
  child.on('message', (message) => noticedAt.set(message.signal, performance.now()));
  for (const signal of FORWARDED_SIGNALS) {
    process.on(signal, () => {
      onSignal(signal);
      const receivedAt = performance.now();
      setTimeout(() => {
        const reachedChild = (noticedAt.get(signal) ?? -Infinity) > receivedAt - SIGNAL_NOTICE_MS;
        if (!reachedChild) child.kill(signal);
      }, SIGNAL_NOTICE_MS);
    });
  }
}
