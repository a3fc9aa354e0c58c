import { DAY_MILLISECONDS, monthMilliseconds, startOfDay } from '../day.ts';
import { priceOf } from '../pricing/money.ts';
import type { PriceBook, PriceId } from '../pricing/prices.ts';
import type { Holdings, RetentionRun } from '../retention/retention-run.ts';
import { rentOfHoldings } from '../costs/storage-cost.ts';

/** What keeping the cache cost on one day, UTC. */
export interface StorageDay {
  day: string;
  /** Pico-dollars; the sum of the items. */
  amount: bigint;
  items: ReadonlyMap<PriceId, bigint>;
  /** How much of the day is over. */
  milliseconds: number;
  /** How much of it lies behind a measure. What was not measured is in no amount. */
  measuredMilliseconds: number;
  /** What was kept at its end; null when nothing was measured. */
  holdings: Holdings | null;
}

/** How long before a range the last measure may lie: passes are hours apart, and may have stood still. */
export const MEASURE_REACHES_DAYS = 35;

/** What was kept from a moment on, epoch milliseconds, until the next measure. */
interface Measure {
  at: number;
  holdings: Holdings;
}

/**
 * Rent by day: what a pass over the cache found is kept until the next pass, each second of it for its
 * share of a month's rent, by the prices of the day and the length of its month.
 *
 * @example
 * const meter = new StorageMeter(runsBefore);
 * for (const day of daysOf(range)) meter.day(day, await runs(day), bookOf(day), Date.now()).amount;
 */
export class StorageMeter {
  /** Oldest first; the first of them may have been made on an earlier day. */
  #measures: Measure[];

  /** @param runsBefore the passes of the last day before that had any */
  constructor(runsBefore: readonly RetentionRun[]) {
    this.#measures = measuresOf(runsBefore).slice(-1);
  }

  /**
   * @param runs the passes that began on the day; days come one after the other
   * @param now epoch milliseconds: nothing is charged for what has not come yet
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
    // A pass that went on over midnight is the next day's measure.
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

/** The measures of passes, oldest first. A pass that did not get through has none. */
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
