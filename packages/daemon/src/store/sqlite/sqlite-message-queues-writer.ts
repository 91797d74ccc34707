import { writeSync } from 'node:fs';
import { systemClock } from '../../base/clock.ts';
import { sendForever } from '../message-queues-contract.ts';
import { SqliteMessageQueues } from './sqlite-message-queues.ts';

/** The child process of the crash test: `<directory> <first message>`. */
const [directory = '', first = '1'] = process.argv.slice(2);
await sendForever(new SqliteMessageQueues(directory, 'messages.db', systemClock), Number(first), (line) =>
  writeSync(1, `${line}\n`),
);
