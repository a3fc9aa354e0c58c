import { PICO_USD_PER_USD } from '../pricing/money.ts';

/** Videos whose cost lies in a range. */
export interface Bin {
  /** Pico-dollars; the first bin begins at 0. */
  from: bigint;
  /** Not in it any more; null in the last one. */
  below: bigint | null;
  count: number;
}

/** Bounds at 1, 2 and 5 of every power of ten: costs spread over many of them. */
const BOUNDS: readonly bigint[] = Array.from({ length: 9 }, (_, power) =>
  [1n, 2n, 5n].map((digit) => (digit * 10n ** BigInt(power) * PICO_USD_PER_USD) / 1_000_000n),
).flat();

/** Counts costs in bins that are fixed beforehand: no cost need be remembered. */
export class CostHistogram {
  readonly #counts = Array.from({ length: BOUNDS.length + 1 }, () => 0);

  add(amount: bigint): void {
    const index = BOUNDS.findIndex((bound) => amount < bound);
    this.#counts[index === -1 ? BOUNDS.length : index]! += 1;
  }

  /** From the first bin that holds a video to the last, those between that hold none included. */
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
