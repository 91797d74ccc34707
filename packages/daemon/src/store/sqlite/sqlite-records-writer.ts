import { writeRecordsForever } from '../crash-writers.ts';
import { SqliteRecords } from './sqlite-records.ts';

/** The child process of the crash test: `<directory> <first step>`. */
const [directory = '', first = '1'] = process.argv.slice(2);
writeRecordsForever(new SqliteRecords(directory), Number(first));
