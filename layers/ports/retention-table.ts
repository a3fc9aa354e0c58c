import type { RetentionRun } from '#core/retention/retention-run.ts';

/** What passes over the cache leave behind: their records, and what the next one goes on from. */
export interface RetentionTable {
  /** Records a pass under the day on which it began; recording it again writes it over. */
  putRun(run: RetentionRun): Promise<void>;
  /** The passes that began on a day (`2026-11-22`, UTC), in the order in which they began. */
  listRuns(day: string): Promise<RetentionRun[]>;
  /** What the last pass left behind; null before the first. */
  getState(): Promise<RetentionState | null>;
  /**
   * Lets one pass at a time work: whether it is this holder's turn until then. The holder may take it
   * again to keep it; a turn that nobody gave back ends by itself.
   *
   * @param now epoch milliseconds; @param until epoch milliseconds
   */
  acquireLease(holder: string, now: number, until: number): Promise<boolean>;
  /**
   * Writes down how far the holder has come, and keeps its turn.
   * @throws ConditionFailedError when the turn is somebody else's by now.
   */
  putState(state: RetentionState, holder: string, until: number): Promise<void>;
  /** Gives the turn back; idempotent, and nothing to who does not have it. */
  releaseLease(holder: string): Promise<void>;
}

/** JSON of at most 300 KB: an item holds 400 KB. What is in it belongs to `functions/evict`. */
export type RetentionState = Record<string, unknown>;
