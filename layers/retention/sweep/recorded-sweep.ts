import { randomUUID } from 'node:crypto';
import type { RetentionTable } from '#ports/retention-table.ts';
import { sweep, type SweepOptions, type SweepStores, type SweepSummary } from './sweep.ts';

export interface RecordedSweepStores extends SweepStores {
  retention: Pick<RetentionTable, 'putRun'>;
}

/** Sweeps and records the result in the table; a dry run leaves no record. */
export async function recordedSweep(
  { retention, ...stores }: RecordedSweepStores,
  options: SweepOptions = {},
): Promise<SweepSummary> {
  const now = options.now ?? Date.now;
  const startedAt = new Date(now()).toISOString();
  const summary = await sweep(stores, options);
  const { isDryRun, isComplete, ...counts } = summary;
  if (isDryRun) return summary;
  await retention.putRun({
    runId: randomUUID(),
    kind: 'sweep',
    startedAt,
    endedAt: new Date(now()).toISOString(),
    isDryRun,
    isComplete,
    counts,
  });
  return summary;
}
