const BINS_PER_DOUBLING = 8;
/** From a value of 2^-10 of the rent to 2^40 of it: entries worth their rent are at 1 or above. */
const MIN_EXPONENT = -10;
/** Entries without rent, and pinned ones, have their own bin above all others. */
const TOP_BIN = 50 * BINS_PER_DOUBLING;
const BINS = TOP_BIN + 1;

/** Where a budget ends. */
export interface CutOff {
  /** Entries in higher bins stay, those in lower bins are evicted. */
  bin: number;
  /** Dollars a month for entries in this bin, first come, first served. */
  leftUsd: number;
}

/**
 * Histogram of rents by value per dollar of rent, in bins 9 % apart. Filling a budget from the top
 * is the greedy solution of the fractional knapsack, which is at most the rent of one entry (here
 * of one bin) below the optimum.
 */
export class DensityHistogram {
  readonly #rents: Float64Array;

  constructor(rents: readonly number[] = []) {
    this.#rents = new Float64Array(BINS);
    this.#rents.set(rents.slice(0, BINS));
  }

  static binOf(density: number): number {
    if (density === Infinity) return TOP_BIN;
    const bin = Math.floor((Math.log2(density) - MIN_EXPONENT) * BINS_PER_DOUBLING);
    return Math.min(TOP_BIN - 1, Math.max(0, bin));
  }

  add(density: number, rentUsd: number): void {
    this.#rents[DensityHistogram.binOf(density)]! += rentUsd;
  }

  /** Returns where the budget ends; null if everything fits. */
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
