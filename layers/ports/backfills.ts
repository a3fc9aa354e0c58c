import type { Backfill, BackfillLine } from '#core/requests/backfill.ts';
import type { ListJobsOptions, Page } from './table.ts';

/** Backfills and the ends of their lines, in the one table. `DynamoBackfillTable` is the implementation. */
export interface BackfillTable {
  /** Creates it if its id is free; returns the stored one either way. */
  createBackfill(backfill: Backfill): Promise<{ backfill: Backfill; created: boolean }>;
  getBackfill(backfillId: string): Promise<Backfill | null>;
  listBackfills(tenant: string, options: ListJobsOptions): Promise<Page<Backfill>>;
  /** Every backfill, any status, in no order. */
  scanBackfills(): AsyncIterable<Backfill>;
  /** Sets what is given, only while it has not ended. @throws ConditionFailedError */
  updateBackfill(backfillId: string, changes: BackfillChanges): Promise<Backfill>;
  /** Sets the flag; a backfill that has ended stays as it is. */
  requestBackfillCancel(backfillId: string): Promise<void>;
  /** Idempotent by backfill, line and video. */
  putLine(line: BackfillLine): Promise<void>;
  /** In the order of the lines. */
  listLines(backfillId: string): AsyncIterable<BackfillLine>;
}

export type BackfillChanges = Partial<
  Pick<Backfill, 'status' | 'startedAt' | 'completedAt' | 'lines' | 'manifestKey' | 'error'>
>;
