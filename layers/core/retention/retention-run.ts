import type { StorageTier } from '../costs/storage-class.ts';

export const EVICTION_REASONS = [
  'rent',
  'budget',
  'duplicate',
  'obsolete',
  'latent-missing',
] as const;

/**
 * Why an entry is evicted.
 *
 * - `rent`: its expected savings are below its rent.
 * - `budget`: it pays its rent, but less per dollar of the monthly budget than the kept entries.
 * - `duplicate`: another entry serves the same requests as well.
 * - `obsolete`: made by a model revision that is no longer served.
 * - `latent-missing`: its latent is gone.
 */
export type EvictionReason = (typeof EVICTION_REASONS)[number];

/** `superseded`: replaced by a refreshed video; not decided by a pass. */
export type LeavingReason = EvictionReason | 'superseded';

export type Verdict = 'keep' | 'pinned' | 'leased' | 'move' | EvictionReason;

/** What the cache holds, for pricing: holding it for one month costs a month's rent. */
export interface Holdings {
  entries: number;
  latents: Partial<Record<StorageTier, { count: number; bytes: number; billedBytes: number }>>;
  /** Latents that Intelligent-Tiering monitors: 128 KiB and more. */
  monitoredLatents: number;
  /** Finished videos, posters, animations and spritesheets of entries. */
  videoBytes: number;
  vectorBytes: number;
  /** Records and their shares of the indexes. */
  itemBytes: number;
}

/** One eviction pass or sweep, as recorded in the table under its day. */
export interface RetentionRun {
  runId: string;
  kind: 'evict' | 'sweep';
  /** ISO 8601, UTC. */
  startedAt: string;
  endedAt: string;
  isDryRun: boolean;
  isComplete: boolean;
  /** Holdings at the end of the pass. Absent in a sweep. */
  holdings?: Holdings;
  /** Entries and their latents' bytes, by verdict. Absent in a sweep. */
  verdicts?: Partial<Record<Verdict, { count: number; bytes: number }>>;
  /** Other counts: orphans, tombstones, requests seen. */
  counts: Record<string, number>;
}
