import type { ObjectStore } from '#stores/objects.ts';
import type { Table } from '#stores/table.ts';
import type { VectorIndex } from '#stores/vector-index.ts';
import type { RetentionTable } from '#stores/retention-table.ts';
import type { EvictSettings } from './evict-settings.ts';
import { finishEvictions, type EvictionSummary } from './finish-evictions.ts';
import { weighCache, type Weighing, type WeighOptions } from './weigh-cache.ts';

export interface EvictStores {
  table: Pick<
    Table,
    | 'weighEntries'
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
  weighing: Weighing;
  finishing: EvictionSummary;
}

/**
 * Weighs the cache when that is due, and lets go of what has been leaving for long enough. Vectors of
 * what the weighing has let go of are deleted at once; its latents wait for their grace period.
 */
export async function evict(
  stores: EvictStores,
  settings: EvictSettings,
  options: WeighOptions = {},
): Promise<EvictOutcome> {
  const weighing = await weighCache(stores, settings, options);
  const finishing = await finishEvictions(stores, options);
  return { weighing, finishing };
}
