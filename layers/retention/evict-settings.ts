import type { DollarRates } from '#core/costs/charges.ts';
import { machinePriceId, type Machine, type PriceBook } from '#core/pricing/prices.ts';
import type { StorageClass } from '#core/costs/storage-class.ts';

/** How a deployment wants its cache evaluated. */
export interface EvictSettings {
  /** Prices of the day come from it. */
  book: PriceBook;
  /** Elements of one vector. */
  dimensions: number;
  /** Where latents lie that were not moved. */
  storageClass: StorageClass;
  /** Whose seconds reuse saves; the book's reference unless said. */
  machine?: Machine;
  /** Dollars a month that the cache may cost in rent; null for whatever pays its rent. */
  budgetUsd: number | null;
  /** Whether latents move to another storage class where that pays. */
  movesStorageClasses: boolean;
  /** Of the package that is served: entries of other packages leave; null lets them pay their rent like the rest. */
  onlyCompatibilityKey: string | null;
}

/** Dollars of the GPU seconds that reuse saves. @throws UnknownPriceError */
export function gpuSecondUsd(
  { book, machine = book.reference }: Pick<EvictSettings, 'book' | 'machine'>,
  rates: DollarRates,
): number {
  return rates(machinePriceId(machine)) / 3600;
}
