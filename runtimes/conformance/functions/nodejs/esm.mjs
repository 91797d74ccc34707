import { setImmediate } from 'node:timers/promises';

await setImmediate();
const loaded = 'after top-level await';

export const handler = async () => loaded;

export default { inner: async () => 'from the default export' };
