import { DAY_MILLISECONDS, monthMilliseconds, startOfDay } from '../day.ts';
import { priceOf } from '../pricing/money.ts';
import type { PriceBook, PriceId } from '../pricing/prices.ts';
import type { Holdings, RetentionRun } from '../retention/retention-run.ts';
import { rentOfHoldings } from '../costs/storage-cost.ts';

/** Storage cost of one day, UTC. */
export interface StorageDay {
  day: string;
  /** Pico-dollars; the sum of the items. */
  amount: bigint;
  items: ReadonlyMap<PriceId, bigint>;
  /** Elapsed part of the day. */
  milliseconds: number;
  /** Part of it covered by a measurement. Unmeasured time is not charged. */
  measuredMilliseconds: number;
  /** Storage at the end of the day; null if not measured. */
  holdings: Holdings | null;
}

/** Maximum age of the last measurement before a range: passes are hours apart, but may have been stopped. */
export const MEASURE_REACHES_DAYS = 35;

/** Storage from a time on, epoch milliseconds, until the next measurement. */
interface Measure {
  at: number;
  holdings: Holdings;
}

/**
 * Computes rent by day: storage found by a pass counts until the next pass, each second for its share of the
 * monthly rent, at the prices of the day and with the length of its month.
 *
 * @example
 * const meter = new StorageMeter(runsBefore);
 * for (const day of daysOf(range)) meter.day(day, await runs(day), bookOf(day), Date.now()).amount;
 */
export class StorageMeter {
  /** Oldest first; the first may be from an earlier day. */
  #measures: Measure[];

  /** @param runsBefore passes of the last day with passes before the first day */
  constructor(runsBefore: readonly RetentionRun[]) {
    this.#measures = measuresOf(runsBefore).slice(-1);
  }

  /**
   * Computes a day; call it for consecutive days.
   *
   * @param runs passes that started on the day
   * @param now epoch milliseconds; later time is not charged
   */
  day(day: string, runs: readonly RetentionRun[], book: PriceBook, now: number): StorageDay {
    const start = startOfDay(day);
    const end = Math.max(start, Math.min(start + DAY_MILLISECONDS, now));
    const month = BigInt(monthMilliseconds(day));
    const items = new Map<PriceId, bigint>();
    let measuredMilliseconds = 0;
    let holdings: Holdings | null = null;
    this.#measures = [...this.#measures, ...measuresOf(runs)].sort(byTime);
    this.#measures.forEach((measure, index) => {
      const from = Math.max(measure.at, start);
      const until = Math.min(this.#measures[index + 1]?.at ?? Infinity, end);
      if (until <= from) return;
      measuredMilliseconds += until - from;
      ({ holdings } = measure);
      for (const { priceId, amount } of rentOfHoldings(measure.holdings, book).items) {
        const share = priceOf(amount, { value: BigInt(until - from), scale: month });
        items.set(priceId, (items.get(priceId) ?? 0n) + share);
      }
    });
    // A pass that ends after midnight counts for the next day.
    const last = this.#measures.findLastIndex(({ at }) => at < end);
    this.#measures = this.#measures.slice(Math.max(0, last));
    return {
      day,
      amount: [...items.values()].reduce((sum, share) => sum + share, 0n),
      items,
      milliseconds: end - start,
      measuredMilliseconds,
      holdings,
    };
  }
}

/** Returns the measurements of complete passes, oldest first. */
function measuresOf(runs: readonly RetentionRun[]): Measure[] {
  return runs
    .flatMap(({ holdings, isComplete, endedAt }) =>
      holdings !== undefined && isComplete ? [{ at: Date.parse(endedAt), holdings }] : [],
    )
    .sort(byTime);
}

function byTime(one: Measure, other: Measure): number {
  return one.at - other.at;
}
