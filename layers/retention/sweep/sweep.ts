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
  /** Reports what would be done and changes nothing. */
  isDryRun?: boolean;
  /** Epoch milliseconds after which no new work starts. */
  deadline?: number;
  /** Stops new work, like the deadline. */
  signal?: AbortSignal;
  /** Epoch milliseconds. */
  now?: () => number;
  /** Maximum entries, and maximum orphans of one kind, in memory at once. */
  mostHeld?: number;
}

export interface SweepSummary {
  isDryRun: boolean;
  /** False if time or memory ended it: the next run continues. */
  isComplete: boolean;
  entriesChecked: number;
  objectsChecked: number;
  /** Deleted objects that no record has named for a day. */
  orphanedObjects: number;
  orphanedBytes: number;
  /** Entry ids whose vectors were deleted because they belong to no READY entry. */
  orphanedVectors: number;
  /** READY entries whose missing vectors were restored. */
  restoredVectors: number;
  /** READY entries without a latent, moved out of the cache. */
  entriesWithoutLatent: number;
  /** READY entries of videos deleted by their owners, moved out of the cache. */
  entriesOfDeletedVideos: number;
}

/** State of a sweep: its stores, findings, and whether it may continue. */
export interface Sweep {
  stores: SweepStores;
  summary: SweepSummary;
  mostHeld: number;
  /** False after the deadline; the summary then says that it is incomplete. */
  hasTime: () => boolean;
  isOld: (object: { modifiedAt: number }) => boolean;
  /** Epoch milliseconds. */
  now: () => number;
  /** Performs the action and returns its outcome; a dry run skips it and returns null. */
  change: <Outcome>(action: () => Promise<Outcome>) => Promise<Outcome | null>;
}

/** This many ids and keys take some fifty megabytes. */
const MAX_HELD = 200_000;

/**
 * Deletes or repairs what crashes left inconsistent: objects and vectors that no record names,
 * entries without vectors or without a latent. Each finding is checked again right before the
 * action, because the cache keeps running; the next sweep finds what this one misses.
 */
export async function sweep(
  stores: SweepStores,
  {
    isDryRun = false,
    deadline = Infinity,
    signal,
    now = Date.now,
    mostHeld = MAX_HELD,
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
