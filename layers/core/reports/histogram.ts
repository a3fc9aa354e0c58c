import { PICO_USD_PER_USD } from '../pricing/money.ts';

/** Number of videos with a cost in a range. */
export interface Bin {
  /** Pico-dollars; the first bin starts at 0. */
  from: bigint;
  /** Exclusive upper bound; null in the last bin. */
  below: bigint | null;
  count: number;
}

/** Bounds at 1, 2 and 5 times each power of ten, because costs span many orders of magnitude. */
const BOUNDS: readonly bigint[] = Array.from({ length: 9 }, (_, power) =>
  [1n, 2n, 5n].map((digit) => (digit * 10n ** BigInt(power) * PICO_USD_PER_USD) / 1_000_000n),
).flat();

/** Counts costs in fixed bins, without storing them. */
export class CostHistogram {
  readonly #counts = Array.from({ length: BOUNDS.length + 1 }, () => 0);

  add(amount: bigint): void {
    const index = BOUNDS.findIndex((bound) => amount < bound);
    this.#counts[index === -1 ? BOUNDS.length : index]! += 1;
  }

  /** Returns the bins from the first to the last nonempty one, including empty ones between. */
  bins(): Bin[] {
    const first = this.#counts.findIndex((count) => count > 0);
    if (first === -1) return [];
    const last = this.#counts.findLastIndex((count) => count > 0);
    return this.#counts.slice(first, last + 1).map((count, offset) => ({
      from: BOUNDS[first + offset - 1] ?? 0n,
      below: BOUNDS[first + offset] ?? null,
      count,
    }));
  }
}
