import type { Entry } from '../generation.ts';

/** What decides whether an entry stays: all that a pass over the cache reads of it. */
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
  | 'generation'
  | 'gpuSeconds'
  | 'denoiseSeconds'
  | 'stepsRun'
> {
  /** How many of its parts have a vector, 1..3. */
  vectors: number;
  /** As `signatureOf` says of its whole vector: entries that differ here are no duplicates. */
  signature: string;
  /** The first 16 digits of its prompt key. */
  prompt: string;
  /** The digits of its compatibility key that tell its package (`packageDigits`). */
  compatibility: string;
}
