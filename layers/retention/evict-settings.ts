import type { DollarRates } from '#core/costs/charges.ts';
import { machinePriceId, type Machine, type PriceBook } from '#core/pricing/prices.ts';
import type { StorageClass } from '#core/costs/storage-class.ts';

/** Eviction settings of a deployment. */
export interface EvictSettings {
  /** Source of the day's prices. */
  book: PriceBook;
  /** Dimensions of one vector. */
  dimensions: number;
  /** Storage class of latents that were not moved. */
  storageClass: StorageClass;
  /** Machine whose seconds reuse saves; default: the book's reference machine. */
  machine?: Machine;
  /** Monthly rent budget in dollars; null keeps every entry that pays its rent. */
  budgetUsd: number | null;
  /** Whether latents move to a cheaper storage class. */
  movesStorageClasses: boolean;
  /**
   * Key of the served package: entries of other packages are evicted; null treats them like all
   * others.
   */
  onlyCompatibilityKey: string | null;
}

/** Returns the price of a GPU second saved by reuse. @throws UnknownPriceError */
export function gpuSecondUsd(
  { book, machine = book.reference }: Pick<EvictSettings, 'book' | 'machine'>,
  rates: DollarRates,
): number {
  return rates(machinePriceId(machine)) / 3600;
}
