import { writeSync } from 'node:fs';
import { systemClock } from '../../base/clock.ts';
import { sendForever } from '../message-queues-contract.ts';
import { ThreadedMessageQueues } from './threaded-message-queues.ts';

/** The child process of the crash test: `<directory> <first message>`. */
const [directory = '', first = '1'] = process.argv.slice(2);
const queues = await ThreadedMessageQueues.open(directory, 'messages.db', systemClock);
await sendForever(queues, Number(first), (line) => writeSync(1, `${line}\n`));
