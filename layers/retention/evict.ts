import type { ObjectStore } from '#ports/objects.ts';
import type { Table } from '#ports/table.ts';
import type { VectorIndex } from '#ports/vector-index.ts';
import type { RetentionTable } from '#ports/retention-table.ts';
import type { EvictSettings } from './evict-settings.ts';
import { finishEvictions, type EvictionSummary } from './finish-evictions.ts';
import {
  runEvictionPass,
  type EvictionPassResult,
  type EvictionPassOptions,
} from './run-eviction-pass.ts';

export interface EvictStores {
  table: Pick<
    Table,
    | 'listCandidates'
    | 'leavingEntries'
    | 'getEntry'
    | 'getJob'
    | 'moveEntry'
    | 'setStorageClass'
    | 'deleteEntry'
  >;
  vectors: Pick<VectorIndex, 'delete'>;
  objects: Pick<ObjectStore, 'delete' | 'setStorageClass'>;
  retention: RetentionTable;
}

export interface EvictOutcome {
  evictionPass: EvictionPassResult;
  finishing: EvictionSummary;
}

/**
 * Runs an eviction pass when it is due, and finishes evictions whose grace period is over. The
 * vectors of entries that the pass evicts are deleted at once; their latents after the grace
 * period.
 */
export async function evict(
  stores: EvictStores,
  settings: EvictSettings,
  options: EvictionPassOptions = {},
): Promise<EvictOutcome> {
  const evictionPass = await runEvictionPass(stores, settings, options);
  const finishing = await finishEvictions(stores, options);
  return { evictionPass, finishing };
}
