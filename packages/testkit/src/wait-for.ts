const WAIT_MS_MAX = 30_000;
const POLL_MS = 10;

/** Asks until the answer is neither undefined nor false, and gives it; after the bound it fails and says for what it waited. */
export async function waitFor<T>(
  what: string,
  ask: () => T | undefined | false | Promise<T | undefined | false>,
  waitMsMax = WAIT_MS_MAX,
): Promise<T> {
  const until = performance.now() + waitMsMax;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    if (performance.now() > until) throw new Error(`waited ${waitMsMax} ms in vain for ${what}`);
    await new Promise((resolve) => {
      setTimeout(resolve, POLL_MS);
    });
  }
}
