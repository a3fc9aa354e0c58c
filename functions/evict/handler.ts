import type { Context } from 'aws-lambda';
import { deployedTelemetry } from '../deployed-telemetry.ts';
import { retentionInput, type RetentionEvent, type RetentionInput } from '../retention-input.ts';
import { deployedObjects, deployedTable, deployedVectors, lazily } from '../services.ts';
import { traced, type Telemetry } from '../telemetry.ts';
import { finishEvictions, type EvictionStores, type EvictionSummary } from './finish-evictions.ts';

/** Lets go what has been leaving for long enough, and says so. */
export function createEvictHandler(
  stores: EvictionStores,
  telemetry: Telemetry,
): (input: RetentionInput) => Promise<EvictionSummary> {
  return traced('evict', async (input) => {
    const summary = await finishEvictions(stores, input);
    telemetry.log({ level: 'info', event: 'evictions_finished', ...summary });
    const { buried, buriedBytes, isDryRun } = summary;
    // A metric is paid for every hour in which it is published.
    if (!isDryRun && buried > 0) {
      telemetry.measure({ evictedEntries: buried, evictedBytes: buriedBytes }, {});
    }
    return summary;
  });
}

const run = lazily(async () =>
  createEvictHandler(
    { table: deployedTable(), vectors: deployedVectors(), objects: deployedObjects() },
    deployedTelemetry(),
  ),
);

export function handler(event: RetentionEvent | null, context: Context): Promise<EvictionSummary> {
  return run(retentionInput(event, context));
}
