import type { Context } from 'aws-lambda';
import { DynamoRetentionTable } from '#aws/dynamo-retention-table.ts';
import { deployedTelemetry } from '../shared/deployed-telemetry.ts';
import {
  retentionInput,
  type RetentionEvent,
  type RetentionInput,
} from '../shared/retention-input.ts';
import { ENVIRONMENT } from '../shared/environment.ts';
import {
  deployedObjects,
  deployedTable,
  deployedVectors,
  lazily,
  variable,
} from '../shared/services.ts';
import { traced, type Telemetry } from '../shared/telemetry.ts';
import { recordedSweep, type RecordedSweepStores } from '#retention/sweep/recorded-sweep.ts';
import type { SweepSummary } from '#retention/sweep/sweep.ts';

/** Clears away what crashes have left, and says what it was. */
export function createSweepHandler(
  stores: RecordedSweepStores,
  telemetry: Telemetry,
): (input: RetentionInput) => Promise<SweepSummary> {
  return traced('sweep', async (input) => {
    const summary = await recordedSweep(stores, input);
    telemetry.log({ level: 'info', event: 'swept', ...summary });
    const { orphanedObjects, orphanedVectors, restoredVectors } = summary;
    const { entriesWithoutLatent, entriesOfDeletedVideos } = summary;
    const entries = entriesWithoutLatent + entriesOfDeletedVideos;
    const orphans = orphanedObjects + orphanedVectors + restoredVectors + entries;
    if (!summary.isDryRun && orphans > 0) telemetry.measure({ orphans }, {});
    return summary;
  });
}

const run = lazily(async () =>
  createSweepHandler(
    {
      table: deployedTable(),
      vectors: deployedVectors(),
      objects: deployedObjects(),
      retention: new DynamoRetentionTable({ tableName: variable(ENVIRONMENT.tableName) }),
    },
    deployedTelemetry(),
  ),
);

export function handler(event: RetentionEvent | null, context: Context): Promise<SweepSummary> {
  return run(retentionInput(event, context));
}
