import { FlexCacheError } from '#core/errors.ts';
import type { ReuseModelRecord } from '#core/retention/reuse-model.ts';
import type { Holdings, Verdict } from '#core/retention/retention-run.ts';
import type { RetentionState } from '#ports/retention-table.ts';
import type { CacheStatsRecord } from './cache-stats.ts';
import type { CutOff } from './density-histogram.ts';

/** `rank` is left out where there is no budget. */
export type Phase = 'measure' | 'rank' | 'decide' | 'merge';

/** Where a pass is: behind this entry of this segment. */
export interface Cursor {
  segment: number;
  after: string | null;
}

export const BEGINNING: Cursor = { segment: 0, after: null };

/** A pass under way. */
export interface PassRecord {
  runId: string;
  /** Epoch milliseconds; all that a pass reckons is as of then. */
  startedAt: number;
  phase: Phase;
  cursor: Cursor;
  /** With what this pass has observed so far. */
  model: ReuseModelRecord;
  cacheStats: CacheStatsRecord;
  /** Rents by density; null before they are ranked. */
  densities: number[] | null;
  cutOff: CutOff | null;
  verdicts: Partial<Record<Verdict, { count: number; bytes: number }>>;
  holdings: Holdings;
  /** Dollars a month of what stays. */
  rentPerMonthUsd: number;
  counts: Record<string, number>;
  /** Seconds of work so far, of all who worked on it. */
  seconds: number;
}

/** What the last pass left behind. */
export interface LastPass {
  startedAt: number;
  seconds: number;
  cacheStats: CacheStatsRecord;
  rentPerMonthUsd: number;
  entries: number;
  /** How often it read the index. */
  phases: number;
  /** Where the budget ended. */
  cutOff: CutOff | null;
}

/** What the next pass goes on from. */
export interface EvictState {
  format: 'flexcache-evict/2';
  model: ReuseModelRecord | null;
  /** How many passes have ended: each looks for duplicates in the next share of the cache. */
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

/** @throws FlexCacheError when it is not ours. */
export function readState(stored: RetentionState | null): EvictState {
  if (stored === null) return NO_STATE;
  if (stored['format'] === NO_STATE.format) return stored as unknown as EvictState;
  throw new FlexCacheError(
    'internal',
    `what the last pass over the cache left behind has format ${String(stored['format'])}, not ${NO_STATE.format}`,
    {
      fix: 'run the version of FlexCache that wrote it, or delete the item RETENTION/STATE of the table',
    },
  );
}
