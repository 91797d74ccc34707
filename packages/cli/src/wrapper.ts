/**
 * The other half of bin/thaw.mjs: what this process does when it is the child of the wrapper that an older Node runs.
 * It tells the wrapper which signals reached it directly. When the wrapper is gone the channel disconnects, which whoever
 * handles signals (an `Interruption`, the daemon) takes for one.
 */
export function joinWrapper(): void {
  if (process.env['THAW_WRAPPER'] === undefined || process.send === undefined) return;
  delete process.env['THAW_WRAPPER'];
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      // The wrapper may have gone by now; then nobody needs the notice.
      if (process.connected) process.send?.({ signal }, undefined, undefined, () => undefined);
    });
  }
  // The channel alone must not keep a finished command alive.
  process.channel?.unref();
}
