import { InvalidInputError } from '../errors.ts';
import { formatUsd } from './money.ts';
import { parsePriceBook } from './price-book-file.ts';
import type { PriceId } from './price-ids.ts';
import type { Price } from './prices.ts';

/** A price as a price list has it. */
export interface NewPrice {
  id: PriceId;
  /** Pico-dollars for one unit of the book. */
  amount: bigint;
  rateCode: string;
  service: string;
  /** Days, UTC: the first of this price, and the one on which the list was published. */
  effectiveOn: string;
  publishedOn: string;
}

/** What a list changes of a book. */
export interface PriceChange {
  id: PriceId;
  kind:
    /** The same amount, now held against the list. */
    | 'confirmed'
    /** Another amount from a day on; what was before stays for the days before. */
    | 'changed'
    /** The book was wrong. */
    | 'corrected'
    /** The list is older than what the book has. */
    | 'outdated';
  /** Pico-dollars. */
  before: bigint;
  after: bigint;
  price: NewPrice;
}

/** A price this many times another, or this part of it, is a slip of the unit and not news. */
const MOST_TIMES = 10n;

/** The JSON of a book, as it is checked in. */
export interface PriceBookFile {
  region: string;
  asOf: string;
  prices: Record<string, Record<string, unknown>>;
  [other: string]: unknown;
}

/**
 * Puts prices of a list into the JSON of a book, which it leaves alone. Nothing is added: what the book
 * does not have is not asked for. An amount that the book gave without having seen a list, or for days
 * that the list is about too, was wrong and is corrected; any other is kept as history.
 *
 * @throws InvalidInputError naming a price that would change out of all proportion.
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

/** A month may stand for any of its days. */
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
  if (amount <= before.amount * MOST_TIMES && amount * MOST_TIMES >= before.amount) return;
  throw new InvalidInputError(
    id,
    `the price list has ${id} (${rateCode}) at $${formatUsd(amount)} where the book has $${formatUsd(before.amount)}`,
    'see whether both count in the same unit; if the price is right, write it into the book by hand',
  );
}
