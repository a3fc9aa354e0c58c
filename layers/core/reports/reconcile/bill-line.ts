import type { Quantity } from '../../pricing/money.ts';
import type { PriceId } from '../../pricing/price-ids.ts';

/** What a report has an amount for, to hold a bill against. */
export const COMPARED_GROUPS = [
  'gpu',
  'functions',
  'workflow',
  'table',
  'objects',
  'vectors',
  'queues',
  'storage',
] as const;

export type ComparedGroup = (typeof COMPARED_GROUPS)[number];

/** What a deployment is billed for and no report knows of. */
export const OUTSIDE_GROUPS = [
  'network',
  'disks',
  'api',
  'monitoring',
  'images',
  'schedules',
] as const;

export type OutsideGroup = (typeof OUTSIDE_GROUPS)[number];

/** What a bill adds to usage or takes off it. */
export const ADJUSTMENTS = ['tax', 'credit', 'refund', 'discount', 'fee'] as const;

export type Adjustment = (typeof ADJUSTMENTS)[number];

/** What a line is for; `unknown` is what nobody could tell. */
export type BillGroup = ComparedGroup | OutsideGroup | Adjustment | 'unknown';

/** One line of a bill. */
export interface BillLine {
  /** On which its usage began, `2026-11-22`, UTC. */
  day: string;
  /** On which it ended; a bill by months has lines of a month. */
  lastDay: string;
  /** `AmazonEC2`, ... */
  product: string;
  /** `USW2-BoxUsage:g6.xlarge`, ... */
  usageType: string;
  operation: string;
  group: BillGroup;
  /** The price of the book that it is billed by; null where the book has none, or nobody knows. */
  priceId: PriceId | null;
  /** In the unit of that price. */
  quantity: Quantity;
  /** Pico-dollars; credits are negative. */
  cost: bigint;
  /** Tags of what used it, by their keys. */
  tags: Readonly<Record<string, string>>;
}
