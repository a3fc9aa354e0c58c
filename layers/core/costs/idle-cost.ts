import { quantityOf } from '../pricing/money.ts';
import { priceIn, type PriceBook, type PriceId } from '../pricing/prices.ts';
import { itemOf } from './usage-cost.ts';

/** Something that is used every month though nobody asks for a video. */
export interface MonthlyUsage {
  what: string;
  priceId: PriceId;
  /** A month, in the unit of the price. */
  quantity: number;
}

export interface BaselineCostLine extends MonthlyUsage {
  unit: string;
  /** Pico-dollars a month at list price. */
  listed: bigint;
  /** Pico-dollars a month after what an account has free. */
  paid: bigint;
}

export interface IdleCost {
  /** In the order of the uses. */
  lines: BaselineCostLine[];
  listed: bigint;
  paid: bigint;
}

/** Hours in a month, as AWS reckons. */
export const HOURS_PER_MONTH = 730;

const MOST_A_MONTH = 1e12;

/**
 * What a deployment costs while nothing runs. Free allowances belong to the account: they are used up
 * in the order of the lines, as if this were all that the account has.
 *
 * @throws InvalidInputError when a quantity is impossible; @throws UnknownPriceError
 */
export function idleCost(uses: readonly MonthlyUsage[], book: PriceBook): IdleCost {
  const freeLeft = new Map<PriceId, number>();
  const lines = uses.map((use): BaselineCostLine => {
    const { priceId, quantity } = use;
    const { free, unit } = priceIn(book, priceId);
    const left = freeLeft.get(priceId) ?? free?.quantity ?? 0;
    freeLeft.set(priceId, Math.max(0, left - quantity));
    const cost = (charged: number): bigint =>
      itemOf(priceId, quantityOf(charged, use.what, MOST_A_MONTH), book).amount;
    return { ...use, unit, listed: cost(quantity), paid: cost(Math.max(0, quantity - left)) };
  });
  const sum = (amount: (line: BaselineCostLine) => bigint): bigint =>
    lines.reduce((total, line) => total + amount(line), 0n);
  return { lines, listed: sum(({ listed }) => listed), paid: sum(({ paid }) => paid) };
}
