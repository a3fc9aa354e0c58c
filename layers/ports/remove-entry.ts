import { ConditionFailedError } from '#core/errors.ts';
import type { Entry } from '#core/generation.ts';
import type { ObjectStore } from './objects.ts';
import type { Table } from './table.ts';
import type { VectorIndex } from './vector-index.ts';

export interface RemovalStores {
  table: Pick<Table, 'getEntry' | 'moveEntry' | 'deleteEntry'>;
  vectors: Pick<VectorIndex, 'delete'>;
  /**
   * Given where nobody else works on the cache: latent and record go at once. Elsewhere they stay
   * for the grace period of the sweep, because a worker may be about to read the latent.
   */
  objects?: Pick<ObjectStore, 'delete'>;
}

/**
 * Takes an entry out of the cache; its video stays, because finished jobs point at it.
 *
 * READY -> EVICTING, then vectors, latent, record: whatever interrupts this, no look-up finds an
 * entry whose latent is gone, and running it again finishes it.
 *
 * @returns the entry as it was; null when there was none.
 * @throws ConditionFailedError while a request holds a lease on it.
 */
export async function removeEntry(
  { table, vectors, objects }: RemovalStores,
  entryId: string,
): Promise<Entry | null> {
  const entry = await table.getEntry(entryId);
  if (entry === null || entry.state === 'TOMBSTONE') return null;
  if (entry.state === 'READY') await beginEviction(table, entryId);
  await vectors.delete([entryId]);
  if (objects !== undefined) {
    await objects.delete(entry.latentKey);
    await table.deleteEntry(entryId);
  }
  return entry;
}

async function beginEviction(table: RemovalStores['table'], entryId: string): Promise<void> {
  const now = Date.now();
  if (await table.moveEntry(entryId, 'READY', 'EVICTING', now)) return;
  const current = await table.getEntry(entryId);
  if (current === null || current.state !== 'READY') return;
  const until = new Date(current.leaseUntil ?? now).toISOString();
  throw new ConditionFailedError(
    `entry ${entryId} is in use until ${until}: run this again after that`,
  );
}
