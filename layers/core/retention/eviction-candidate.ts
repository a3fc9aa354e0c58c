import type { Entry } from '../generation.ts';

/** The fields of an entry that an eviction pass reads. */
export interface EvictionCandidate extends Pick<
  Entry,
  | 'entryId'
  | 'state'
  | 'createdAt'
  | 'hits'
  | 'lastHitAt'
  | 'previousHitAt'
  | 'decayedHits'
  | 'decayedCredit'
  | 'neighbours'
  | 'pinnedAt'
  | 'storageClass'
  | 'leavingAt'
  | 'latentBytes'
  | 'videoBytes'
  | 'reuseDepth'
  | 'gpuSeconds'
  | 'denoiseSeconds'
  | 'stepsRun'
> {
  /** Number of its parts with a vector, 1..3. */
  vectors: number;
  /**
   * Signature of its whole vector (`signatureOf`): entries with different signatures are not
   * duplicates.
   */
  signature: string;
  /** The first 16 digits of its prompt key. */
  prompt: string;
  /** Digits of its compatibility key that identify its package (`packageDigits`). */
  compatibility: string;
}
