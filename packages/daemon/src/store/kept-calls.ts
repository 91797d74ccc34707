import type { TriggerKind } from '../model/trigger-kind.ts';

/** The input of one invocation, from which it can be run again. */
export interface KeptInput {
  readonly requestId: string;
  readonly functionName: string;
  readonly qualifier: string;
  readonly trigger: TriggerKind;
  /** Wall time in milliseconds. */
  readonly keptAt: number;
  /** JSON of the request that an HTTP trigger took, without its body. */
  readonly http?: string;
  /** The asynchronous task that has the bytes. */
  readonly taskId?: string;
  /** The event or the body; absent where a task has it, or where it was larger than is kept. */
  readonly bytes?: Uint8Array;
}

/** The first answer to a call that may be sent again under its key. */
export interface KeptAnswer {
  /** Of function, caller and idempotency key. */
  readonly scope: string;
  readonly functionName: string;
  /** Hash of what was asked: the same key with another request is a mistake. */
  readonly fingerprint: string;
  readonly keptAt: number;
  readonly status: number;
  /** Flat names and values. */
  readonly rawHeaders: readonly string[];
  /** Absent where it was larger than is kept. */
  readonly body?: Uint8Array;
}

/**
 * Calls that are kept for a while. Contract:
 *  1. A `keep…` that resolved survives the death of the process and a power failure; one that comes again under its id
 *     or scope replaces the one before.
 *  2. Nothing is found that is older than its kind is kept, or whose function was forgotten afterwards.
 *  3. Of one function at most as many and as many bytes as the limits say are kept, of all at most `totalBytesMax`; the
 *     oldest go first.
 *  4. A `keep…` rejects with STORE_FAILED where the disk refuses, and where more waits than is held in memory.
 */
export interface KeptCalls {
  keepInput(input: KeptInput): Promise<void>;
  keepAnswer(answer: KeptAnswer): Promise<void>;
  input(requestId: string): KeptInput | undefined;
  answer(scope: string): KeptAnswer | undefined;
  forget(functionName: string): void;
  close(): Promise<void>;
}

export interface KeptLimits {
  readonly ageMsMax: number;
  readonly perFunctionMax: number;
  readonly perFunctionBytesMax: number;
  readonly totalBytesMax: number;
}

/** A week to look at what went wrong. */
export const INPUT_LIMITS: KeptLimits = {
  ageMsMax: 7 * 24 * 60 * 60 * 1000,
  perFunctionMax: 20_000,
  perFunctionBytesMax: 256 * 1024 * 1024,
  totalBytesMax: 1024 * 1024 * 1024,
};

/** As long as clients are used to from others that honour such keys. */
export const ANSWER_LIMITS: KeptLimits = {
  ageMsMax: 24 * 60 * 60 * 1000,
  perFunctionMax: 20_000,
  perFunctionBytesMax: 128 * 1024 * 1024,
  totalBytesMax: 512 * 1024 * 1024,
};
