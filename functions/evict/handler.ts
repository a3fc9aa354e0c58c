import type { Context } from 'aws-lambda';
import { EVICTION_REASONS, type RetentionRun } from '#core/retention/retention-run.ts';
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
import { deployedEvictSettings } from '../shared/deployed-evict-settings.ts';
import { evict, type EvictOutcome, type EvictStores } from '#retention/evict.ts';
import type { EvictSettings } from '#retention/evict-settings.ts';
import { explainEntry } from '#retention/explain-entry.ts';
import type { Explanation } from '#retention/explanation.ts';
import type { EvictionPassOptions } from '#retention/run-eviction-pass.ts';

export interface EvictInput
  extends RetentionInput, Pick<EvictionPassOptions, 'isForced' | 'holder'> {
  /** Id of the entry whose verdict is to be explained; then nothing else is done. */
  explain?: string;
}

/** Runs an eviction pass and reports it; or explains the verdict on one entry. */
export function createEvictHandler(
  stores: EvictStores,
  settings: EvictSettings,
  telemetry: Telemetry,
): (input: EvictInput) => Promise<EvictOutcome | Explanation> {
  return traced('evict', async ({ explain, ...options }) => {
    if (explain !== undefined) return explainEntry(stores, settings, explain, Date.now());
    const outcome = await evict(stores, settings, options);
    const { evictionPass, finishing } = outcome;
    if (evictionPass.outcome === 'completed') {
      const { run, rentPerMonthUsd } = evictionPass;
      telemetry.log({ level: 'info', event: 'eviction_pass_completed', ...run, rentPerMonthUsd });
      if (!run.isDryRun && run.isComplete) measureRun(telemetry, run, rentPerMonthUsd);
    } else {
      telemetry.log({ level: 'info', event: 'eviction_pass_skipped', ...evictionPass });
    }
    telemetry.log({ level: 'info', event: 'evictions_finished', ...finishing });
    const { latentsDeleted, latentBytesDeleted, isDryRun } = finishing;
    if (!isDryRun && latentsDeleted > 0) {
      telemetry.measure({ evictedEntries: latentsDeleted, evictedBytes: latentBytesDeleted }, {});
    }
    return outcome;
  });
}

/** A metric is paid for every hour in which it is published: these about daily. */
function measureRun(
  telemetry: Telemetry,
  { holdings, verdicts = {} }: RetentionRun,
  rentPerMonth: number,
): void {
  const tiers = Object.values(holdings?.latents ?? {});
  const entryBytes = tiers.reduce((sum, { bytes }) => sum + bytes, 0);
  telemetry.measure({ entries: holdings?.entries ?? 0, entryBytes, rentPerMonth }, {});
  for (const reason of EVICTION_REASONS) {
    const { count = 0 } = verdicts[reason] ?? {};
    if (count > 0) telemetry.measure({ leavingEntries: count }, { reason });
  }
}

const run = lazily(async () =>
  createEvictHandler(
    {
      table: deployedTable(),
      vectors: deployedVectors(),
      objects: deployedObjects(),
      retention: new DynamoRetentionTable({ tableName: variable(ENVIRONMENT.tableName) }),
    },
    deployedEvictSettings(),
    deployedTelemetry(),
  ),
);

export function handler(
  event: RetentionEvent | null,
  context: Context,
): Promise<EvictOutcome | Explanation> {
  const { explain, isForced } = event ?? {};
  return run({
    ...retentionInput(event, context),
    holder: context.awsRequestId,
    isForced: isForced === true,
    ...(typeof explain === 'string' && { explain }),
  });
}
