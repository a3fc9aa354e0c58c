import { ORPHAN_AGE_MILLISECONDS } from '#core/retention/retention.ts';
import type { ObjectStore } from '#ports/objects.ts';
import type { Table } from '#ports/table.ts';
import type { VectorIndex } from '#ports/vector-index.ts';
import { sweepEntries } from './sweep-entries.ts';
import { sweepJobObjects } from './sweep-job-objects.ts';

export interface SweepStores {
  table: Pick<Table, 'scanEntries' | 'scanJobs' | 'getEntry' | 'getJob' | 'moveEntry'>;
  vectors: Pick<VectorIndex, 'put' | 'delete' | 'list'>;
  objects: Pick<ObjectStore, 'list' | 'head' | 'delete'>;
}

export interface SweepOptions {
  /** Look and say what would be done, change nothing. */
  isDryRun?: boolean;
  /** Epoch milliseconds after which nothing new is begun. */
  deadline?: number;
  /** Begins nothing new, as after the deadline. */
  signal?: AbortSignal;
  /** Epoch milliseconds. */
  now?: () => number;
  /** Most entries, and most orphans of one kind, that are held in memory at once. */
  mostHeld?: number;
}

export interface SweepSummary {
  isDryRun: boolean;
  /** False when time or memory ended it: the next run goes on. */
  isComplete: boolean;
  entriesChecked: number;
  objectsChecked: number;
  /** Deleted: no record has named them for a day. */
  orphanedObjects: number;
  orphanedBytes: number;
  /** Entry ids whose vectors were deleted because no READY entry has them. */
  orphanedVectors: number;
  /** READY entries whose vectors were missing and were put again. */
  restoredVectors: number;
  /** READY entries whose latent is missing, moved out of the cache. */
  entriesWithoutLatent: number;
  /** READY entries of videos that their owners deleted, moved out of the cache. */
  entriesOfDeletedVideos: number;
}

/** A turn of work: what it may touch, what it found, and whether it may go on. */
export interface Sweep {
  stores: SweepStores;
  summary: SweepSummary;
  mostHeld: number;
  /** False once the deadline has come; then the summary says that it is not complete. */
  hasTime: () => boolean;
  isOld: (object: { modifiedAt: number }) => boolean;
  /** Epoch milliseconds. */
  now: () => number;
  /** Does it and returns its outcome; null in a dry run, which does nothing. */
  change: <Outcome>(action: () => Promise<Outcome>) => Promise<Outcome | null>;
}

/** So many ids and keys are some fifty megabytes. */
const MOST_HELD = 200_000;

/**
 * Clears away what lost each other in crashes: objects and vectors that no record names, entries
 * without vectors or without their latent. Each finding is looked at once more, right before it is
 * acted upon, because the cache is at work meanwhile; what is missed now is found the next time.
 */
export async function sweep(
  stores: SweepStores,
  {
    isDryRun = false,
    deadline = Infinity,
    signal,
    now = Date.now,
    mostHeld = MOST_HELD,
  }: SweepOptions = {},
): Promise<SweepSummary> {
  const summary: SweepSummary = {
    isDryRun,
    isComplete: true,
    entriesChecked: 0,
    objectsChecked: 0,
    orphanedObjects: 0,
    orphanedBytes: 0,
    orphanedVectors: 0,
    restoredVectors: 0,
    entriesWithoutLatent: 0,
    entriesOfDeletedVideos: 0,
  };
  const turn: Sweep = {
    stores,
    summary,
    mostHeld,
    hasTime: () => {
      if (now() < deadline && signal?.aborted !== true) return true;
      summary.isComplete = false;
      return false;
    },
    isOld: ({ modifiedAt }) => now() - modifiedAt >= ORPHAN_AGE_MILLISECONDS,
    now,
    change: async (action) => (isDryRun ? null : action()),
  };
  await sweepEntries(turn);
  await sweepJobObjects(turn);
  return summary;
}
