import { InvalidInputError } from '../errors.ts';
import { formatUsd } from './money.ts';
import { parsePriceBook } from './price-book-file.ts';
import type { PriceId } from './price-ids.ts';
import type { Price } from './prices.ts';

/** A price of AWS's price list. */
export interface NewPrice {
  id: PriceId;
  /** Pico-dollars per unit of the book. */
  amount: bigint;
  rateCode: string;
  service: string;
  /** Days, UTC: first day of this price, and publication of the list. */
  effectiveOn: string;
  publishedOn: string;
}

/** Result of comparing a price of the book with the list. */
export interface PriceChange {
  id: PriceId;
  kind:
    /** The same amount, now verified against the list. */
    | 'confirmed'
    /** A new amount from a day on; the old amount moves to the history. */
    | 'changed'
    /** The book was wrong. */
    | 'corrected'
    /** The list is older than the book. */
    | 'outdated';
  /** Pico-dollars. */
  before: bigint;
  after: bigint;
  price: NewPrice;
}

/** A price off by this factor indicates a wrong unit. */
const MAX_TIMES = 10n;

/** The checked-in JSON of a book. */
export interface PriceBookFile {
  region: string;
  asOf: string;
  prices: Record<string, Record<string, unknown>>;
  [other: string]: unknown;
}

/**
 * Returns a copy of a book's JSON with the prices of a list. Adds no new prices. A different amount is a
 * correction if the book's was uncertain or covers days that the list also covers; otherwise the old amount moves
 * to the history.
 *
 * @throws InvalidInputError if a price would change implausibly.
 */
export function updatePriceBook(
  file: PriceBookFile,
  found: readonly NewPrice[],
): { file: PriceBookFile; changes: PriceChange[] } {
  const { prices: known, region } = parsePriceBook(file);
  const prices = { ...file.prices };
  let { asOf } = file;
  const changes = found.flatMap((price): PriceChange[] => {
    const before = known.get(price.id);
    if (before === undefined) return [];
    refuseAbsurd(price, before);
    const kind = kindOf(price, before);
    if (kind !== 'outdated') {
      prices[price.id] = entry(file.prices[price.id]!, price, { kind, region, before });
      if (price.publishedOn > asOf) asOf = price.publishedOn;
    }
    return [{ id: price.id, kind, before: before.amount, after: price.amount, price }];
  });
  const updated = { ...file, asOf, prices };
  parsePriceBook(updated);
  return { file: updated, changes };
}

function kindOf(price: NewPrice, before: Price): PriceChange['kind'] {
  if (lastDayOf(before.asOf) > price.publishedOn && before.uncertain !== true) return 'outdated';
  if (price.amount === before.amount) return 'confirmed';
  const isNews = before.uncertain !== true && price.effectiveOn > lastDayOf(before.asOf);
  return isNews ? 'changed' : 'corrected';
}

/** A month may mean any of its days. */
function lastDayOf(asOf: string): string {
  return asOf.length === '2026-11'.length ? `${asOf}-31` : asOf;
}

function entry(
  old: Record<string, unknown>,
  { amount, rateCode, service, publishedOn, effectiveOn }: NewPrice,
  { kind, region, before }: { kind: PriceChange['kind']; region: string; before: Price },
): Record<string, unknown> {
  const { uncertain: _, history: earlier, free, usd, ...kept } = old;
  const past = { usd: formatUsd(before.amount), until: effectiveOn, source: before.source };
  const history = [
    ...((earlier as unknown[] | undefined) ?? []),
    ...(kind === 'changed' ? [past] : []),
  ];
  return {
    ...kept,
    usd: kind === 'confirmed' ? usd : formatUsd(amount),
    source: `AWS price list, ${service} of ${region}, published ${publishedOn}`,
    asOf: publishedOn,
    rateCode,
    ...(history.length > 0 && { history }),
    ...(free !== undefined && { free }),
  };
}

function refuseAbsurd({ id, amount, rateCode }: NewPrice, before: Price): void {
  if (amount <= before.amount * MAX_TIMES && amount * MAX_TIMES >= before.amount) return;
  throw new InvalidInputError(
    id,
    `the price list has ${id} (${rateCode}) at $${formatUsd(amount)}, but the book has $${formatUsd(before.amount)}`,
    'check whether both use the same unit; if the price is right, edit the book',
  );
}
