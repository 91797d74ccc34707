/** Decisions about batches of changes as pure functions; `ChangeDelivery` carries them out. */

import { createHash } from 'node:crypto';
import { RETRY_WITHOUT_END } from '@thaw/protocol/fc/triggers/database.ts';
import type { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { QueuedChange } from './row-change.ts';

export interface RoundLimits {
  readonly batchSize: number;
  readonly parallelism: number;
  readonly bytesMax: number;
}

type Weight = Pick<QueuedChange<unknown>, 'bytes' | 'isKeyChange'>;

export interface Round {
  /** How many of the first changes go out now. */
  readonly changes: number;
  /** Whether waiting would not make it larger. */
  readonly isFull: boolean;
}

/**
 * How many of the waiting changes go out together: as many as the batches take that may run at once, and never more bytes
 * than an event may have, but one change at least. Where several batches run at once, a change that gives its row
 * another key goes alone: it comes after what was done under the old key and before what is done under the new one.
 */
export function nextRound(waiting: readonly Weight[], limits: RoundLimits): Round {
  const changesMax = limits.batchSize * limits.parallelism;
  let bytes = 0;
  for (const [index, change] of waiting.entries()) {
    const isAlone = change.isKeyChange && limits.parallelism > 1;
    bytes += change.bytes;
    if (index > 0 && (isAlone || bytes > limits.bytesMax)) return { changes: index, isFull: true };
    if (isAlone || index + 1 === changesMax) return { changes: index + 1, isFull: true };
  }
  return { changes: waiting.length, isFull: bytes >= limits.bytesMax };
}

/**
 * The batches of a round. Without parallelism there is one; else a change's key decides which batch it is in, so that
 * changes of one key are in one batch, in their order.
 */
export function batchesOf<C extends Pick<QueuedChange<unknown>, 'orderKey'>>(
  changes: readonly C[],
  { batchSize, parallelism }: RoundLimits,
): readonly (readonly C[])[][] {
  if (parallelism === 1) return [chunks(changes, batchSize)];
  const lanes = Array.from({ length: parallelism }, (): C[] => []);
  for (const change of changes) lanes[laneOf(change.orderKey, parallelism)]?.push(change);
  return lanes.filter((lane) => lane.length > 0).map((lane) => chunks(lane, batchSize));
}

function laneOf(orderKey: string, lanes: number): number {
  return createHash('sha1').update(orderKey).digest().readUInt32BE(0) % lanes;
}

function chunks<C>(changes: readonly C[], size: number): C[][] {
  return Array.from({ length: Math.ceil(changes.length / size) }, (_, index) =>
    changes.slice(index * size, (index + 1) * size),
  );
}

/** Both halves of a batch that fails, in order; a single change has none. */
export function halvesOf<C>(changes: readonly C[]): readonly [readonly C[], readonly C[]] | undefined {
  if (changes.length < 2) return undefined;
  const middle = Math.ceil(changes.length / 2);
  return [changes.slice(0, middle), changes.slice(middle)];
}

/**
 * Whether the batch itself may be the reason. A function that throws, times out or dies may do so because of what is in
 * the batch; a function that is throttled, missing or switched off does not.
 */
export function mayBePoison(error: ThawError): boolean {
  return error.fault === 'function' || error.code === 'PAYLOAD_TOO_LARGE';
}

/** A part of a batch was tried often enough as part of the whole; once more is for what passes by itself. */
const PART_RETRIES = 1;

export function retriesOf(isPart: boolean, maxRetries: number): number {
  if (maxRetries === RETRY_WITHOUT_END) return Infinity;
  return isPart ? Math.min(PART_RETRIES, maxRetries) : maxRetries;
}

const RETRY_MS_MIN = 250;
const RETRY_MS_MAX = 30_000;

/** Pause after so many failures in a row: doubling, with `random` (0 to 1) so that many triggers do not march in step. */
export function retryPauseMs(failures: number, random: number): number {
  const ms = Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** Math.min(failures - 1, 16));
  return Math.round(ms * (0.75 + random / 4));
}
