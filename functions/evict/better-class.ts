import { SECONDS_PER_MONTH, type PolicyContext } from '#core/policy/appraise.ts';
import { lastUseOf } from '#core/policy/entry-state.ts';
import { STORAGE_CLASSES, type StorageClass } from '#core/storage-class.ts';
import { entryRentUsd } from '#core/entry-rent.ts';
import { deletionUsd, moveUsd, retrievalUsd } from '#core/storage-cost.ts';
import type { Weighed } from './pass.ts';

/**
 * The storage class in which a latent is cheapest until it is read next, where going there pays; null
 * where it is best off. Until then it waits 1 / rate, as long again as it has waited already while
 * nothing else is known. Counted are the rent of that time, one read, the move, and at its end what the
 * class charges of its least duration.
 */
export function betterClass(
  { entry, state, appraisal }: Weighed,
  context: PolicyContext,
): StorageClass | null {
  const { now, rates, queriesPerMonth } = context;
  const { latentBytes: bytes, storageClass: from } = state;
  const lastReadAt = lastUseOf(state);
  const monthsLeft = 1 / appraisal.rate;
  const until = now + monthsLeft * SECONDS_PER_MONTH * 1000;
  // When it was moved is not known: all of the least duration may be left.
  const storedAt = entry.storageClass === undefined ? state.createdAt : now;
  const costIn = (storageClass: StorageClass): number => {
    const isMove = storageClass !== from;
    const object = { bytes, storageClass, lastReadAt: isMove ? now : lastReadAt };
    const rent = entryRentUsd({ ...state, ...object, queriesPerMonth }, now, rates).latent;
    return (
      rent * monthsLeft +
      retrievalUsd(object, now, rates) +
      (isMove
        ? moveUsd({ bytes, storageClass: from, lastReadAt, storedAt }, storageClass, now, rates) +
          deletionUsd({ ...object, storedAt: now }, until, rates)
        : 0)
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
