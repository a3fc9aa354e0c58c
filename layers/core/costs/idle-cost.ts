import { quantityOf } from '../pricing/money.ts';
import { priceIn, type PriceBook, type PriceId } from '../pricing/prices.ts';
import { itemOf } from './usage-cost.ts';

/** Monthly usage of an idle deployment. */
export interface MonthlyUsage {
  what: string;
  priceId: PriceId;
  /** Per month, in the unit of the price. */
  quantity: number;
}

export interface BaselineCostLine extends MonthlyUsage {
  unit: string;
  /** Pico-dollars per month at list price. */
  listed: bigint;
  /** Pico-dollars per month after free allowances. */
  paid: bigint;
}

export interface IdleCost {
  /** In the order of the usage. */
  lines: BaselineCostLine[];
  listed: bigint;
  paid: bigint;
}

/** Hours per month in AWS's price examples. */
export const HOURS_PER_MONTH = 730;

const MAX_A_MONTH = 1e12;

/**
 * Computes the monthly cost of an idle deployment. Free allowances are applied in the order of the lines,
 * assuming that the account runs nothing else.
 *
 * @throws InvalidInputError if a quantity is impossible; @throws UnknownPriceError
 */
export function idleCost(uses: readonly MonthlyUsage[], book: PriceBook): IdleCost {
  const freeLeft = new Map<PriceId, number>();
  const lines = uses.map((use): BaselineCostLine => {
    const { priceId, quantity } = use;
    const { free, unit } = priceIn(book, priceId);
    const left = freeLeft.get(priceId) ?? free?.quantity ?? 0;
    freeLeft.set(priceId, Math.max(0, left - quantity));
    const cost = (charged: number): bigint =>
      itemOf(priceId, quantityOf(charged, use.what, MAX_A_MONTH), book).amount;
    return { ...use, unit, listed: cost(quantity), paid: cost(Math.max(0, quantity - left)) };
  });
  const sum = (amount: (line: BaselineCostLine) => bigint): bigint =>
    lines.reduce((total, line) => total + amount(line), 0n);
  return { lines, listed: sum(({ listed }) => listed), paid: sum(({ paid }) => paid) };
}
