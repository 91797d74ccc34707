/** A thread that inflates, compares and writes chunks: `unpackers.ts` says what, one piece of a blob after the other. */
import { parentPort } from 'node:worker_threads';
import { unpackChunks, type UnpackedChunks } from './unpack-chunks.ts';
import { chunksOf, type UnpackRequest } from './unpack-request.ts';

export type UnpackAnswer = UnpackedChunks;

parentPort?.on('message', (request: UnpackRequest) => {
  const answer: UnpackAnswer = unpackChunks(request.packed, chunksOf(request), request.use);
  parentPort?.postMessage(answer, answer.plain === undefined ? [] : [answer.plain]);
});
