import type { StorageTier } from '../costs/storage-class.ts';

export const EVICTION_REASONS = [
  'rent',
  'budget',
  'duplicate',
  'obsolete',
  'latent-missing',
] as const;

/**
 * Why an entry leaves.
 *
 * - `rent`: what its hits are expected to save is less than its rent.
 * - `budget`: it pays its rent, but less for each dollar of the monthly budget than what was kept.
 * - `duplicate`: another entry serves the same requests as well.
 * - `obsolete`: made by a model revision that is no longer served.
 * - `latent-missing`: its latent is gone.
 */
export type EvictionReason = (typeof EVICTION_REASONS)[number];

/** `superseded`: a refreshed video took its place; no pass decides that. */
export type LeavingReason = EvictionReason | 'superseded';

export type Verdict = 'keep' | 'pinned' | 'leased' | 'move' | EvictionReason;

/** What the cache keeps, for pricing: one month of it is a month's rent. */
export interface Holdings {
  entries: number;
  latents: Partial<Record<StorageTier, { count: number; bytes: number; billedBytes: number }>>;
  /** Latents that Intelligent-Tiering monitors: 128 KiB and more. */
  monitoredLatents: number;
  /** Finished videos, posters, animations and sheets that entries point at. */
  videoBytes: number;
  vectorBytes: number;
  /** Records and their shares of the indexes. */
  itemBytes: number;
}

/** One pass over the cache, as it is recorded in the table, under its day. */
export interface RetentionRun {
  runId: string;
  kind: 'evict' | 'sweep';
  /** ISO 8601, UTC. */
  startedAt: string;
  endedAt: string;
  isDryRun: boolean;
  isComplete: boolean;
  /** What was there when the pass ended. Absent in a sweep. */
  holdings?: Holdings;
  /** By verdict: entries and their latents' bytes. Absent in a sweep. */
  verdicts?: Partial<Record<Verdict, { count: number; bytes: number }>>;
  /** What else is worth a line: orphans, tombstones, requests seen. */
  counts: Record<string, number>;
}
