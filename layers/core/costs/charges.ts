import { InvalidInputError } from '../errors.ts';
import { priceOf, quantityOf, type Quantity } from '../pricing/money.ts';
import { priceIn, type PriceBook, type PriceId } from '../pricing/prices.ts';
import { BYTES_PER_GB } from './storage-tier.ts';
import { itemOf, type CostItem, type UsageCost } from './usage-cost.ts';

/** `count` x `times` / `per` units of something. */
export interface Charge {
  priceId: PriceId;
  count: number;
  times: number;
  per: number;
}

export function charge(priceId: PriceId, count: number, per = 1, times = 1): Charge {
  return { priceId, count, times, per };
}

/** Bytes that are kept for a month, or read, at a price for each GB. */
export function storageCharge(priceId: PriceId, bytes: number): Charge {
  return charge(priceId, bytes, BYTES_PER_GB);
}

/** Dollars for one unit, as a number: for decisions, never for the books. @throws UnknownPriceError */
export type DollarRates = (priceId: PriceId) => number;

/** The prices of a book as numbers, looked up once each. */
export function dollarRates(book: PriceBook): DollarRates {
  const known = new Map<PriceId, number>();
  return (priceId) => {
    let rate = known.get(priceId);
    if (rate === undefined) {
      rate = Number(priceIn(book, priceId).amount) / 1e12;
      known.set(priceId, rate);
    }
    return rate;
  };
}

/** In whole pico-dollars, rounded. @throws InvalidInputError naming the price whose quantity cannot be */
export function exactAmount({ priceId, count, times, per }: Charge, book: PriceBook): bigint {
  const { value, scale } = product(count, times, priceId);
  return priceOf(priceIn(book, priceId).amount, { value, scale: scale * BigInt(per) });
}

/** The sum of charges, each rounded by itself. */
export function exact(charges: readonly Charge[], book: PriceBook): bigint {
  return charges.reduce((sum, each) => sum + exactAmount(each, book), 0n);
}

/** In dollars; for decisions over millions of entries, never for the books. */
export function approximateAmount(priceId: PriceId, quantity: number, rates: DollarRates): number {
  if (!(quantity >= 0 && quantity < Infinity)) refuse(priceId, quantity);
  return quantity * rates(priceId);
}

/** The sum of charges, in dollars. */
export function approximate(charges: readonly Charge[], rates: DollarRates): number {
  return charges.reduce(
    (sum, { priceId, count, times, per }) =>
      sum + approximateAmount(priceId, (count * times) / per, rates),
    0,
  );
}

function refuse(priceId: PriceId, amount: number): never {
  throw new InvalidInputError(
    priceId,
    `a quantity of ${priceId} is ${amount}`,
    'give what was measured: a number that is not negative',
  );
}

function product(count: number, times: number, field: string): Quantity {
  const left = quantityOf(count, field, Number.MAX_SAFE_INTEGER);
  const right = quantityOf(times, field, Number.MAX_SAFE_INTEGER);
  return { value: left.value * right.value, scale: left.scale * right.scale };
}

/** Itemised: one item for each price, in the order in which they first occur. */
export function invoiceOf(charges: readonly Charge[], book: PriceBook): UsageCost {
  const items: CostItem[] = [];
  for (const [priceId, group] of Map.groupBy(charges, (each) => each.priceId)) {
    const [{ per }] = group as [Charge];
    const value = group.reduce((sum, { count }) => sum + whole(count, priceId), 0n);
    if (value > 0n) items.push(itemOf(priceId, { value, scale: BigInt(per) }, book));
  }
  return { total: items.reduce((sum, { amount }) => sum + amount, 0n), items };
}

function whole(count: number, field: string): bigint {
  const { value, scale } = quantityOf(count, field, Number.MAX_SAFE_INTEGER);
  return value / scale;
}
