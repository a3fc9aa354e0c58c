import type { Quantity } from '../../pricing/money.ts';
import type { PriceId } from '../../pricing/price-ids.ts';

/** Groups that both the report and the bill contain. */
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

/** Billed groups that reports do not contain. */
export const OUTSIDE_GROUPS = [
  'network',
  'disks',
  'api',
  'monitoring',
  'images',
  'schedules',
] as const;

export type OutsideGroup = (typeof OUTSIDE_GROUPS)[number];

/** Additions and deductions of a bill beyond usage. */
export const ADJUSTMENTS = ['tax', 'credit', 'refund', 'discount', 'fee'] as const;

export type Adjustment = (typeof ADJUSTMENTS)[number];

/** Group of a line; `unknown` if it cannot be mapped. */
export type BillGroup = ComparedGroup | OutsideGroup | Adjustment | 'unknown';

/** One line of a bill. */
export interface BillLine {
  /** First day of usage, `2026-11-22`, UTC. */
  day: string;
  /** Last day of usage; lines of a monthly bill cover a month. */
  lastDay: string;
  /** `AmazonEC2`, ... */
  product: string;
  /** `USW2-BoxUsage:g6.xlarge`, ... */
  usageType: string;
  operation: string;
  group: BillGroup;
  /** Matching price of the book; null if there is none or it is unknown. */
  priceId: PriceId | null;
  /** In the unit of that price. */
  quantity: Quantity;
  /** Pico-dollars; credits are negative. */
  cost: bigint;
  /** Resource tags by key. */
  tags: Readonly<Record<string, string>>;
}
