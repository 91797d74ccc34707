/** A thread that inflates and compares chunks: `unpackers.ts` says what, one piece of a blob after the other. */
import { parentPort } from 'node:worker_threads';
import { unpackChunks, type PackedChunk, type UnpackedChunks } from './unpack-chunks.ts';

export interface UnpackRequest {
  readonly packed: Uint8Array<ArrayBuffer>;
  readonly chunks: readonly PackedChunk[];
}

export type UnpackAnswer = UnpackedChunks;

parentPort?.on('message', ({ packed, chunks }: UnpackRequest) => {
  const answer: UnpackAnswer = unpackChunks(packed, chunks);
  parentPort?.postMessage(answer, [answer.plain]);
});
