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
 * Compares one group of the report with the bill. Amounts are pico-dollars, and
 * `reported + beyond + free + pricing = billed`, exactly.
 */
export interface Comparison {
  group: ComparedGroup;
  reported: bigint;
  /** Billed usage that the report lacks, at book prices; negative if the report has more. */
  beyond: bigint;
  /** Usage without charge: free allowances. Negative or zero. */
  free: bigint;
  /** Difference between billed rates and book prices: discounts, an outdated book, rounding. */
  pricing: bigint;
  billed: bigint;
  usage: BilledUsage[];
}

/** Lines of a bill with the same product and usage type. */
export interface BilledUsage {
  product: string;
  usageType: string;
  lines: number;
  billed: bigint;
}

export interface Reconciliation {
  report: Report;
  comparisons: Comparison[];
  outside: { group: OutsideGroup; billed: bigint; usage: BilledUsage[] }[];
  adjustments: { group: Adjustment; billed: bigint }[];
  /** Usage that cannot be mapped to a group. */
  unknown: BilledUsage[];
  billed: bigint;
  /** Lines of other days or without the requested tag, not compared. */
  leftOut: { lines: number; billed: bigint };
}

/** Selects the compared lines of a bill. */
export interface BillFilter {
  from: string;
  to: string;
  /** Only lines with this tag; default: all. */
  tag?: { key: string; value: string };
}

class Amounts {
  /** At book prices. */
  expected = 0n;
  /** The part of `expected` that was free of charge. */
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

  /** Returns usage by amount, highest first. */
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
 * Sums a bill line by line and compares it with a report of the same days.
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
    // A machine without a price belongs to another workload.
    const group = priceId !== null && price === undefined ? 'unknown' : line.group;
    const amounts = this.#groups.get(group) ?? new Amounts();
    this.#groups.set(group, amounts);
    // Without a book price the billed amount counts as expected.
    const expected = price === undefined ? cost : priceOf(price.amount, quantity);
    amounts.add(line, expected, cost === 0n);
  }

  /** Compares the bill with a report. @param report of the same days and of all tenants */
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

/** Services of the report by group; machines and storage have separate sums. */
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
