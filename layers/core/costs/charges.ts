import { InvalidInputError } from '../errors.ts';
import { priceOf, quantityOf, type Quantity } from '../pricing/money.ts';
import { priceIn, type PriceBook, type PriceId } from '../pricing/prices.ts';
import { BYTES_PER_GB } from './storage-tier.ts';
import { itemOf, type CostItem, type UsageCost } from './usage-cost.ts';

/** `count` x `times` / `per` units at a price. */
export interface Charge {
  priceId: PriceId;
  count: number;
  times: number;
  per: number;
}

export function charge(priceId: PriceId, count: number, per = 1, times = 1): Charge {
  return { priceId, count, times, per };
}

/** Charges bytes, stored for a month or read, at a price per GB. */
export function storageCharge(priceId: PriceId, bytes: number): Charge {
  return charge(priceId, bytes, BYTES_PER_GB);
}

/** Returns dollars per unit as a number: for decisions, never for accounting. @throws UnknownPriceError */
export type DollarRates = (priceId: PriceId) => number;

/** Returns the prices of a book as numbers, each looked up once. */
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

/** Returns whole pico-dollars, rounded. @throws InvalidInputError with the price id if the quantity is invalid */
export function exactAmount({ priceId, count, times, per }: Charge, book: PriceBook): bigint {
  const { value, scale } = product(count, times, priceId);
  return priceOf(priceIn(book, priceId).amount, { value, scale: scale * BigInt(per) });
}

/** Sums charges, each rounded separately. */
export function exact(charges: readonly Charge[], book: PriceBook): bigint {
  return charges.reduce((sum, each) => sum + exactAmount(each, book), 0n);
}

/** Returns dollars: for decisions on millions of entries, never for accounting. */
export function approximateAmount(priceId: PriceId, quantity: number, rates: DollarRates): number {
  if (!(quantity >= 0 && quantity < Infinity)) refuse(priceId, quantity);
  return quantity * rates(priceId);
}

/** Sums charges in dollars. */
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

/** Itemizes charges: one item per price, in the order of first use. */
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
