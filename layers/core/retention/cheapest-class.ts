import { STORAGE_CLASSES, type StorageClass } from '../costs/storage-class.ts';
import { entryRentUsd } from '../costs/entry-rent.ts';
import { deletionUsd, moveUsd, retrievalUsd } from '../costs/storage-cost.ts';
import { SECONDS_PER_MONTH, type ValueEstimate, type PolicyContext } from './estimate-value.ts';
import { lastUseOf, type ReuseStats } from './reuse-stats.ts';

/**
 * Returns the storage class in which a latent is cheapest until its next read, or for a month if
 * that is sooner, provided that moving pays; null if it should stay. The wait until the next read
 * is 1 / rate; without data, as long as it has waited so far. Costs are the rent of that time, the
 * reads, the move, and the class's minimum-duration charge.
 *
 * @param storedAt epoch milliseconds of its last move
 */
export function betterClass(
  entry: ReuseStats,
  { rate }: Pick<ValueEstimate, 'rate'>,
  storedAt: number,
  { now, rates, queriesPerMonth }: PolicyContext,
): StorageClass | null {
  const { latentBytes: bytes, storageClass: from } = entry;
  const lastReadAt = lastUseOf(entry);
  const months = Math.max(1, 1 / rate);
  const reads = rate * months;
  const until = now + months * SECONDS_PER_MONTH * 1000;
  const costIn = (storageClass: StorageClass): number => {
    const isMove = storageClass !== from;
    const object = { bytes, storageClass, lastReadAt: isMove ? now : lastReadAt };
    const rent = entryRentUsd({ ...entry, ...object, queriesPerMonth }, now, rates).latent;
    const staying = rent * months + reads * retrievalUsd(object, now, rates);
    if (!isMove) return staying;
    return (
      staying +
      moveUsd({ bytes, storageClass: from, lastReadAt, storedAt }, storageClass, now, rates) +
      deletionUsd({ ...object, storedAt: now }, until, rates)
    );
  };
  let best = from;
  let least = costIn(from);
  for (const storageClass of STORAGE_CLASSES) {
    const cost = costIn(storageClass);
    if (cost < least) [best, least] = [storageClass, cost];
  }
  return best === from ? null : best;
}
