/** A thread that inflates and compares chunks: `unpackers.ts` says what, one piece of a blob after the other. */
import { parentPort } from 'node:worker_threads';
import { unpackChunks, type UnpackedChunks } from './unpack-chunks.ts';
import { chunksOf, type UnpackRequest } from './unpack-request.ts';

export type UnpackAnswer = UnpackedChunks;

parentPort?.on('message', (request: UnpackRequest) => {
  const answer: UnpackAnswer = unpackChunks(request.packed, chunksOf(request));
  parentPort?.postMessage(answer, [answer.plain]);
});
