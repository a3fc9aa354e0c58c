import { FlexCacheError } from '#core/errors.ts';
import type { ReuseModelRecord } from '#core/retention/reuse-model.ts';
import type { Holdings, Verdict } from '#core/retention/retention-run.ts';
import type { RetentionState } from '#ports/retention-table.ts';
import type { CacheStatsRecord } from './cache-stats.ts';
import type { CutOff } from './density-histogram.ts';

/** `rank` is skipped without a budget. */
export type Phase = 'measure' | 'rank' | 'decide' | 'merge';

/** Progress of a pass: after this entry of this segment. */
export interface Cursor {
  segment: number;
  after: string | null;
}

export const BEGINNING: Cursor = { segment: 0, after: null };

/** A pass in progress. */
export interface PassRecord {
  runId: string;
  /** Epoch milliseconds; reference time of all calculations of the pass. */
  startedAt: number;
  phase: Phase;
  cursor: Cursor;
  /** Includes what this pass has observed so far. */
  model: ReuseModelRecord;
  cacheStats: CacheStatsRecord;
  /** Rents by density; null before ranking. */
  densities: number[] | null;
  cutOff: CutOff | null;
  verdicts: Partial<Record<Verdict, { count: number; bytes: number }>>;
  holdings: Holdings;
  /** Monthly rent of the kept entries, in dollars. */
  rentPerMonthUsd: number;
  counts: Record<string, number>;
  /** Seconds of work so far, over all workers. */
  seconds: number;
}

/** Results of the last pass. */
export interface LastPass {
  startedAt: number;
  seconds: number;
  cacheStats: CacheStatsRecord;
  rentPerMonthUsd: number;
  entries: number;
  /** Number of index reads. */
  phases: number;
  /** Where the budget ended. */
  cutOff: CutOff | null;
}

/** State from which the next pass continues. */
export interface EvictState {
  format: 'flexcache-evict/2';
  model: ReuseModelRecord | null;
  /** Number of finished passes: each looks for duplicates in the next share of the cache. */
  round: number;
  last: LastPass | null;
  pass: PassRecord | null;
}

export const NO_STATE: EvictState = {
  format: 'flexcache-evict/2',
  model: null,
  round: 0,
  last: null,
  pass: null,
};

/** Parses the stored state. @throws FlexCacheError for an unknown format */
export function readState(stored: RetentionState | null): EvictState {
  if (stored === null) return NO_STATE;
  if (stored['format'] === NO_STATE.format) return stored as unknown as EvictState;
  throw new FlexCacheError(
    'internal',
    `the state of the last eviction pass has format ${String(stored['format'])}, not ${NO_STATE.format}`,
    {
      fix: 'run the version of FlexCache that wrote it, or delete the item RETENTION/STATE of the table',
    },
  );
}
