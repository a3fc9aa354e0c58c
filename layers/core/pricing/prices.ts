import { isDay } from '../day.ts';
import { InvalidInputError } from '../errors.ts';
import { parsePriceBook } from './price-book-file.ts';
import { UnknownPriceError, type Machine, type PriceId } from './price-ids.ts';
import euWest1 from './prices/eu-west-1.json' with { type: 'json' };
import usEast1 from './prices/us-east-1.json' with { type: 'json' };
import usWest2 from './prices/us-west-2.json' with { type: 'json' };

export {
  machinePriceId,
  PURCHASE_OPTIONS,
  UnknownPriceError,
  type Machine,
  type PriceId,
  type PurchaseOption,
} from './price-ids.ts';

/** A unit price. */
export interface Price {
  id: PriceId;
  /** Pico-dollars for one unit. */
  amount: bigint;
  unit: string;
  /** Source of the figure. */
  source: string;
  /** `2026-11-22` or `2026-11`: the last check against the source. */
  asOf: string;
  /** Rate code in AWS's price list and bills. */
  rateCode?: string;
  /** True if the figure is from memory or derived, not verified against a price list. */
  uncertain?: true;
  /** Spot only: range over the zones of the region, which contains the amount. */
  range?: PriceRange;
  /** Earlier amounts, oldest first, each valid before its day `until` (UTC). */
  history?: readonly PastPrice[];
  /** Monthly free allowance of an account; not applied to videos. */
  free?: { quantity: number; source: string };
}

/** Pico-dollars for one unit. */
export interface PriceRange {
  low: bigint;
  high: bigint;
}

/** A former amount. */
export interface PastPrice {
  /** Pico-dollars for one unit. */
  amount: bigint;
  /** `2026-06-16`: the first day, UTC, on which it was no longer valid. */
  until: string;
  source: string;
}

/** The prices of one region, without volume discounts. */
export interface PriceBook {
  region: string;
  /** Date of the book. */
  asOf: string;
  /** Machine at whose price unbilled, embedded work is priced. */
  reference: Machine & { lambdaMegabytes: number };
  prices: ReadonlyMap<string, Price>;
}

/** Looks up a price. @throws UnknownPriceError */
export function priceIn(book: PriceBook, id: PriceId): Price {
  const price = book.prices.get(id);
  if (price === undefined) throw new UnknownPriceError(id, book.region);
  return price;
}

const BOOK_FILES: Readonly<Record<string, unknown>> = {
  'us-east-1': usEast1,
  'us-west-2': usWest2,
  'eu-west-1': euWest1,
};

/** Regions that have a book. */
export const PRICE_REGIONS: readonly string[] = Object.keys(BOOK_FILES);

/** Price region of the embedded cloud. */
export const DEFAULT_PRICE_REGION = 'us-east-1';

const books = new Map<string, PriceBook>();

/**
 * Returns the checked-in book of a region with its current prices.
 *
 * @throws InvalidInputError if the region has no book.
 */
export function priceBookOf(region: string): PriceBook {
  const known = books.get(region);
  if (known !== undefined) return known;
  if (!Object.hasOwn(BOOK_FILES, region)) {
    throw new InvalidInputError(
      'region',
      `there is no price book of region "${region}"`,
      `use one of ${PRICE_REGIONS.join(', ')}, or add layers/core/pricing/prices/${region}.json`,
    );
  }
  const book = parsePriceBook(BOOK_FILES[region]);
  books.set(region, book);
  return book;
}

/** Cache of `bookOn`: versions of a book by the first day on which they are no longer valid. */
const booksUntil = new WeakMap<PriceBook, Map<string, PriceBook>>();
const changesOf = new WeakMap<PriceBook, string[]>();

/**
 * Returns the book with the prices valid on a day. A video has the prices of the day of its request, storage
 * those of each day.
 *
 * @param day `2026-11-22`, UTC
 * @throws InvalidInputError if the day is invalid.
 */
export function bookOn(book: PriceBook, day: string): PriceBook {
  if (!isDay(day)) {
    throw new InvalidInputError('day', `"${day}" is not a day`, 'give a day like 2026-11-22');
  }
  const change = changes(book).find((until) => day < until);
  if (change === undefined) return book;
  const known = booksUntil.get(book) ?? new Map<string, PriceBook>();
  booksUntil.set(book, known);
  const found = known.get(change);
  if (found !== undefined) return found;
  const prices = new Map([...book.prices].map(([id, price]) => [id, priceOn(price, day)]));
  const then = { ...book, prices };
  known.set(change, then);
  return then;
}

/** Returns the days on which prices of a book changed, in order. */
function changes(book: PriceBook): string[] {
  const known = changesOf.get(book);
  if (known !== undefined) return known;
  const days = [...book.prices.values()].flatMap(({ history = [] }) =>
    history.map(({ until }) => until),
  );
  const sorted = [...new Set(days)].sort();
  changesOf.set(book, sorted);
  return sorted;
}

function priceOn(price: Price, day: string): Price {
  const past = price.history?.find(({ until }) => day < until);
  return past === undefined ? price : { ...price, amount: past.amount, source: past.source };
}
