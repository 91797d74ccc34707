import { writeBlobsForever } from './crash-writers.ts';
import { FileBlobs } from './file-blobs.ts';

/** The child process of the crash test: `<directory> <seed>`. */
const [directory = '', seed = ''] = process.argv.slice(2);
await writeBlobsForever(new FileBlobs(directory), seed);
