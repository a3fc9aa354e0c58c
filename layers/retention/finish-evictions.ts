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
  /** Look and say what would be done, change nothing. */
  isDryRun?: boolean;
  /** Epoch milliseconds after which nothing new is begun. */
  deadline?: number;
  /** Begins nothing new, as after the deadline. */
  signal?: AbortSignal;
  /** Epoch milliseconds. */
  now?: () => number;
}

export interface EvictionSummary {
  isDryRun: boolean;
  /** False when the deadline came first: the next run goes on. */
  isComplete: boolean;
  /** Entries that wait for their grace period to end. */
  waiting: number;
  /** Latents deleted, their entries now tombstones. */
  latentsDeleted: number;
  latentBytesDeleted: number;
  /** Tombstones whose time was over. */
  recordsDeleted: number;
}

const ENTRIES_AT_ONCE = 8;

/**
 * Takes entries that are leaving to the end of their way:
 *
 *     READY ─► EVICTING ─ vectors gone ─ grace ─ latent deleted ─► TOMBSTONE ─ a day ─► no record
 *
 * Every step may be repeated and the state moves on only after what belongs to it is done, so a run
 * that stops anywhere is finished by the next. Which READY entries leave is decided elsewhere
 * (`runEvictionPass`); the video of an entry stays, because finished jobs point at it. What leaves is read from
 * an index: where nothing does, a run costs 32 empty queries.
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
    // At once, whoever began the eviction and however far it came: no look-up should be led here.
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

/** As the table has it now: an index may be a moment behind. False when somebody else was faster. */
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
