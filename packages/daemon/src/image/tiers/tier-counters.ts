/**
 * What one tier did since the process started. The definitions are those of docs/ARCHITECTURE.md, "Images, lazily":
 * whoever shows the numbers shows these words.
 */
export interface TierCounters {
  /** Calls to what stands behind the tier: reads of a segment, requests to a peer, range requests to a registry. */
  requests: number;
  /** Chunks that the tier gave and whose digest was right. */
  chunks: number;
  /** Plain bytes of those chunks. */
  bytes: number;
  /** Bytes as they were moved: for a registry compressed, and with what was fetched only because it lay between. */
  wireBytes: number;
  /** Wanted chunks that it did not have. */
  misses: number;
  /** Calls that failed, whatever was done about it. */
  failures: number;
  /** Chunks that it gave and whose size or digest was wrong; each was thrown away and asked for elsewhere. */
  corrupt: number;
}

export type TierName = 'memory' | 'disk' | 'peers' | 'registry' | 'local';

export function newTierCounters(): TierCounters {
  return { requests: 0, chunks: 0, bytes: 0, wireBytes: 0, misses: 0, failures: 0, corrupt: 0 };
}

export function counted(later: TierCounters, earlier: TierCounters): TierCounters {
  return {
    requests: later.requests - earlier.requests,
    chunks: later.chunks - earlier.chunks,
    bytes: later.bytes - earlier.bytes,
    wireBytes: later.wireBytes - earlier.wireBytes,
    misses: later.misses - earlier.misses,
    failures: later.failures - earlier.failures,
    corrupt: later.corrupt - earlier.corrupt,
  };
}
