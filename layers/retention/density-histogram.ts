const BINS_PER_DOUBLING = 8;
/** From a value of 2^-10 of the rent up to 2^40 of it: what pays does not lie below 1. */
const LOWEST_EXPONENT = -10;
/** What has no rent, or may not leave, is in a bin of its own, above all others. */
const TOP_BIN = 50 * BINS_PER_DOUBLING;
const BINS = TOP_BIN + 1;

/** Where a budget ends. */
export interface CutOff {
  /** Entries in a higher bin keep, those in a lower one leave. */
  bin: number;
  /** Dollars a month for those in it, first come, first served. */
  leftUsd: number;
}

/**
 * Rents by what they buy: value for each dollar of rent, in bins 9 % apart. Filling a budget from the
 * top is the greedy solution of the fractional knapsack, which no other choice beats by more than the
 * rent of one entry, here of one bin.
 */
export class DensityHistogram {
  readonly #rents: Float64Array;

  constructor(rents: readonly number[] = []) {
    this.#rents = new Float64Array(BINS);
    this.#rents.set(rents.slice(0, BINS));
  }

  static binOf(density: number): number {
    if (density === Infinity) return TOP_BIN;
    const bin = Math.floor((Math.log2(density) - LOWEST_EXPONENT) * BINS_PER_DOUBLING);
    return Math.min(TOP_BIN - 1, Math.max(0, bin));
  }

  add(density: number, rentUsd: number): void {
    this.#rents[DensityHistogram.binOf(density)]! += rentUsd;
  }

  /** Null when everything fits. */
  cutOff(budgetUsd: number): CutOff | null {
    let leftUsd = budgetUsd;
    for (let bin = BINS - 1; bin >= 0; bin--) {
      const rent = this.#rents[bin]!;
      if (rent > leftUsd) return { bin, leftUsd };
      leftUsd -= rent;
    }
    return null;
  }

  toJSON(): number[] {
    return [...this.#rents];
  }
}
