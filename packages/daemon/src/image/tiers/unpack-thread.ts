/** A thread that inflates, compares and writes chunks: `unpackers.ts` says what, one piece of a blob after the other. */
import { parentPort, workerData } from 'node:worker_threads';
import { collectBufferGarbage } from '../../base/buffer-garbage.ts';
import { unpackChunks, type UnpackedChunks } from './unpack-chunks.ts';
import { chunksOf, type UnpackRequest } from './unpack-request.ts';

export type UnpackAnswer = UnpackedChunks;

export interface UnpackThreadData {
  /** See `buffer-garbage.ts`. */
  readonly collectsBuffers: boolean;
}

// oxlint-disable-next-line typescript/no-unsafe-type-assertion
const { collectsBuffers } = workerData as UnpackThreadData;
// Where this engine cannot, the process has said so.
collectBufferGarbage(collectsBuffers);

parentPort?.on('message', (request: UnpackRequest) => {
  const answer: UnpackAnswer = unpackChunks(request.packed, chunksOf(request), request.use);
  parentPort?.postMessage(answer, answer.plain === undefined ? [] : [answer.plain]);
});
