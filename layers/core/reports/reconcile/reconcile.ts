import { priceOf } from '../../pricing/money.ts';
import type { PriceBook } from '../../pricing/prices.ts';
import type { Report } from '../report.ts';
import {
  ADJUSTMENTS,
  COMPARED_GROUPS,
  OUTSIDE_GROUPS,
  type Adjustment,
  type BillLine,
  type ComparedGroup,
  type OutsideGroup,
} from './bill-line.ts';

/**
 * One group of the report beside the bill. All amounts are pico-dollars, and
 * `reported + beyond + free + pricing = billed`, exactly.
 */
export interface Comparison {
  group: ComparedGroup;
  reported: bigint;
  /** What was billed in usage beyond the report's, at the prices of the book; negative for less. */
  beyond: bigint;
  /** What was used without being charged for: free allowances. Negative or zero. */
  free: bigint;
  /** What the bill's rates differ from the book's: discounts, a book that is older than the rate, rounding. */
  pricing: bigint;
  billed: bigint;
  usage: BilledUsage[];
}

/** Lines of a bill with one name. */
export interface BilledUsage {
  product: string;
  usageType: string;
  lines: number;
  billed: bigint;
}

export interface Reconciliation {
  /** Days, products and currency as the report has them. */
  report: Report;
  comparisons: Comparison[];
  outside: { group: OutsideGroup; billed: bigint; usage: BilledUsage[] }[];
  adjustments: { group: Adjustment; billed: bigint }[];
  /** What no group could be told for, by name. */
  unknown: BilledUsage[];
  billed: bigint;
  /** Lines of other days, or without the tag that was asked for: not compared. */
  leftOut: { lines: number; billed: bigint };
}

/** Which lines of a bill are compared. */
export interface BillFilter {
  from: string;
  to: string;
  /** Only what carries this tag; everything unless said. */
  tag?: { key: string; value: string };
}

class Amounts {
  /** At the prices of the book. */
  expected = 0n;
  /** The part of `expected` that was not charged for. */
  free = 0n;
  billed = 0n;
  readonly #usage = new Map<string, BilledUsage>();

  add({ product, usageType, cost }: BillLine, expected: bigint, isFree: boolean): void {
    this.expected += expected;
    if (isFree) this.free += expected;
    this.billed += cost;
    const name = `${product} ${usageType}`;
    const known = this.#usage.get(name) ?? { product, usageType, lines: 0, billed: 0n };
    known.lines += 1;
    known.billed += cost;
    this.#usage.set(name, known);
  }

  /** TopVideos first. */
  usage(): BilledUsage[] {
    return [...this.#usage.values()].sort((one, other) =>
      one.billed === other.billed
        ? one.usageType < other.usageType
          ? -1
          : 1
        : one.billed > other.billed
          ? -1
          : 1,
    );
  }
}

/**
 * Adds up a bill, line by line, and sets it beside a report of the same days.
 *
 * @example
 * const bill = new Bill({ from, to }, (day) => bookOn(book, day));
 * for await (const line of readBill(path)) bill.add(line);
 * const { comparisons } = bill.against(report);
 */
export class Bill {
  readonly #filter: BillFilter;
  readonly #bookOf: (day: string) => PriceBook;
  readonly #groups = new Map<BillLine['group'], Amounts>();
  readonly #leftOut = { lines: 0, billed: 0n };

  constructor(filter: BillFilter, bookOf: (day: string) => PriceBook) {
    this.#filter = filter;
    this.#bookOf = bookOf;
  }

  add(line: BillLine): void {
    if (!this.#isCompared(line)) {
      this.#leftOut.lines += 1;
      this.#leftOut.billed += line.cost;
      return;
    }
    const { priceId, quantity, cost, day } = line;
    const price = priceId === null ? undefined : this.#bookOf(day).prices.get(priceId);
    // A machine that the book does not have is none of ours.
    const group = priceId !== null && price === undefined ? 'unknown' : line.group;
    const amounts = this.#groups.get(group) ?? new Amounts();
    this.#groups.set(group, amounts);
    // Without a price of ours the bill's own amount is taken for the right one.
    const expected = price === undefined ? cost : priceOf(price.amount, quantity);
    amounts.add(line, expected, cost === 0n);
  }

  /** @param report of the same days and of all tenants */
  against(report: Report): Reconciliation {
    const amountsOf = (group: BillLine['group']): Amounts =>
      this.#groups.get(group) ?? new Amounts();
    const comparisons = COMPARED_GROUPS.map((group): Comparison => {
      const { expected, free, billed, ...amounts } = summary(amountsOf(group));
      const reported = reportedOf(report, group);
      return {
        group,
        reported,
        beyond: expected - reported,
        free: -free,
        pricing: billed - (expected - free),
        billed,
        ...amounts,
      };
    });
    const outside = OUTSIDE_GROUPS.map((group) => {
      const { billed, usage } = summary(amountsOf(group));
      return { group, billed, usage };
    });
    const adjustments = ADJUSTMENTS.map((group) => ({ group, billed: amountsOf(group).billed }));
    return {
      report,
      comparisons,
      outside,
      adjustments,
      unknown: amountsOf('unknown').usage(),
      billed: [...this.#groups.values()].reduce((sum, { billed }) => sum + billed, 0n),
      leftOut: { ...this.#leftOut },
    };
  }

  #isCompared({ day, tags }: BillLine): boolean {
    const { from, to, tag } = this.#filter;
    return day >= from && day <= to && (tag === undefined || tags[tag.key] === tag.value);
  }
}

function summary(amounts: Amounts) {
  const { expected, free, billed } = amounts;
  return { expected, free, billed, usage: amounts.usage() };
}

/** Services of the report by group; machines and storage are sums of their own. */
const SERVICES: Readonly<Record<Exclude<ComparedGroup, 'gpu' | 'storage'>, string>> = {
  functions: 'lambda',
  workflow: 'states',
  table: 'dynamodb',
  objects: 's3',
  vectors: 's3vectors',
  queues: 'sqs',
};

function reportedOf({ videos, tails, storage }: Report, group: ComparedGroup): bigint {
  if (group === 'gpu') return videos.gpu + videos.idle + videos.coldStart + (tails ?? 0n);
  if (group === 'storage') return storage ?? 0n;
  return videos.services.get(SERVICES[group]) ?? 0n;
}
