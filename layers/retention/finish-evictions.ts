import { EVICTION_GRACE_MILLISECONDS, TOMBSTONE_MILLISECONDS } from '#core/retention/retention.ts';
import type { ObjectStore } from '#ports/objects.ts';
import type { Table } from '#ports/table.ts';
import type { EvictionCandidate } from '#core/retention/eviction-candidate.ts';
import type { VectorIndex } from '#ports/vector-index.ts';
import { inParallel } from '#core/in-parallel.ts';

export interface EvictionStores {
  table: Pick<Table, 'leavingEntries' | 'getEntry' | 'moveEntry' | 'deleteEntry'>;
  vectors: Pick<VectorIndex, 'delete'>;
  objects: Pick<ObjectStore, 'delete'>;
}

export interface EvictionOptions {
  /** Reports what would be done and changes nothing. */
  isDryRun?: boolean;
  /** Epoch milliseconds after which no new work starts. */
  deadline?: number;
  /** Stops new work, like the deadline. */
  signal?: AbortSignal;
  /** Epoch milliseconds. */
  now?: () => number;
}

export interface EvictionSummary {
  isDryRun: boolean;
  /** False if the deadline came first: the next run resumes. */
  isComplete: boolean;
  /** Entries in their grace period. */
  waiting: number;
  /** Deleted latents; their entries are now tombstones. */
  latentsDeleted: number;
  latentBytesDeleted: number;
  /** Expired tombstones. */
  recordsDeleted: number;
}

const ENTRIES_AT_ONCE = 8;

/**
 * Finishes the eviction of entries:
 *
 *     READY ─► EVICTING ─ vectors gone ─ grace ─ latent deleted ─► TOMBSTONE ─ a day ─► no record
 *
 * Every step is idempotent and the state advances only after its step is done, so the next run finishes
 * an interrupted one. `runEvictionPass` decides which READY entries are evicted. The video of an entry
 * stays, because finished jobs refer to it. Entries to evict come from an index: without any, a run costs
 * 32 empty queries.
 */
export async function finishEvictions(
  stores: EvictionStores,
  { isDryRun = false, deadline = Infinity, signal, now = Date.now }: EvictionOptions = {},
): Promise<EvictionSummary> {
  const summary: EvictionSummary = {
    isDryRun,
    isComplete: true,
    waiting: 0,
    latentsDeleted: 0,
    latentBytesDeleted: 0,
    recordsDeleted: 0,
  };
  const leaving = entriesWhile(stores.table.leavingEntries(), () => {
    if (now() < deadline && signal?.aborted !== true) return true;
    summary.isComplete = false;
    return false;
  });
  await inParallel(leaving, ENTRIES_AT_ONCE, async (entry) => {
    const inStateFor = now() - (entry.leavingAt ?? 0);
    if (entry.state === 'TOMBSTONE') {
      if (inStateFor < TOMBSTONE_MILLISECONDS) return;
      if (!isDryRun) await stores.table.deleteEntry(entry.entryId);
      summary.recordsDeleted++;
      return;
    }
    // At once, whatever the progress of the eviction, so that no lookup finds it.
    if (!isDryRun) await stores.vectors.delete([entry.entryId]);
    if (inStateFor < EVICTION_GRACE_MILLISECONDS) {
      summary.waiting++;
      return;
    }
    if (!isDryRun && !(await bury(stores, entry, now()))) return;
    summary.latentsDeleted++;
    summary.latentBytesDeleted += entry.latentBytes;
  });
  return summary;
}

/** Reads the table, because an index may lag. Returns false if another process was faster. */
async function bury(
  { table, objects }: EvictionStores,
  { entryId }: EvictionCandidate,
  now: number,
): Promise<boolean> {
  const entry = await table.getEntry(entryId);
  if (entry?.state !== 'EVICTING') return false;
  await objects.delete(entry.latentKey);
  return table.moveEntry(entryId, 'EVICTING', 'TOMBSTONE', now);
}

async function* entriesWhile(
  entries: AsyncIterable<EvictionCandidate>,
  hasTime: () => boolean,
): AsyncIterable<EvictionCandidate> {
  for await (const entry of entries) {
    if (!hasTime()) return;
    yield entry;
  }
}
