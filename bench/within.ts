/** What `work` gives, or a failure when it is not done in time; what it does then has nobody who waits for it. */
export async function within<T>(msMax: number, work: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`not done within ${msMax / 60_000} minutes`)), msMax);
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
