import { writeSync } from 'node:fs';
import { systemClock } from '../../base/clock.ts';
import { LogStore } from './log-store.ts';

/** The child process of the crash test: `<directory> <request id>`. Says `n` once lines up to n were flushed. */
const [directory = '', requestId = ''] = process.argv.slice(2);
const store = new LogStore({
  directory,
  clock: systemClock,
  bounds: { segmentBytesMax: 20_000, segmentsMax: 10_000 },
});
for (let n = 1; ; n += 1) {
  const where = { functionName: 'f', versionId: '1', requestId, instanceId: 'c', source: 'stdout' } as const;
  store.append({ ...where, time: n, text: `line ${n}` });
  if (n % 10 === 0) {
    await store.flush();
    writeSync(1, `${n}\n`);
  }
}
