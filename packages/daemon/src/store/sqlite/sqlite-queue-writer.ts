import { writeQueueForever } from '../crash-writers.ts';
import { SqliteQueue } from './sqlite-queue.ts';

/** The child process of the crash test: `<directory> <first number>`. */
const [directory = '', first = '1'] = process.argv.slice(2);
await writeQueueForever(await SqliteQueue.open(directory, 0), Number(first));
