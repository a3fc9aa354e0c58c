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

/** What one unit of something costs. */
export interface Price {
  id: PriceId;
  /** Pico-dollars for one unit. */
  amount: bigint;
  unit: string;
  /** Where the figure is from. */
  source: string;
  /** `2026-11-22` or `2026-11`: when the figure was last held against its source. */
  asOf: string;
  /** The code that AWS's price list and bills have for it. */
  rateCode?: string;
  /** The figure is remembered or derived; nobody has held it against a price list. */
  uncertain?: true;
  /** Of Spot: between what the zones of the region asked; the amount is the figure used. */
  range?: PriceRange;
  /** What it was before, oldest first: each amount was valid until its day came (UTC). */
  history?: readonly PastPrice[];
  /** What an account uses of it each month without paying; bills of single videos leave it out. */
  free?: { quantity: number; source: string };
}

/** Pico-dollars for one unit. */
export interface PriceRange {
  low: bigint;
  high: bigint;
}

/** An amount that is no longer asked. */
export interface PastPrice {
  /** Pico-dollars for one unit. */
  amount: bigint;
  /** `2026-06-16`: the first day, UTC, on which it was not valid any more. */
  until: string;
  source: string;
}

/** The prices of one region. Volume discounts are not counted. */
export interface PriceBook {
  region: string;
  /** When the book was put together. */
  asOf: string;
  /** What the work of a machine that nobody bills is priced as. */
  reference: Machine & { lambdaMegabytes: number };
  prices: ReadonlyMap<string, Price>;
}

/** @throws UnknownPriceError */
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

/** What is embedded is priced as if it ran here. */
export const DEFAULT_PRICE_REGION = 'us-east-1';

const books = new Map<string, PriceBook>();

/**
 * The checked-in book of a region, as of today.
 *
 * @throws InvalidInputError when there is none: prices of another region would be wrong.
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

/** Books of a book by the first day on which they are not valid any more. */
const booksUntil = new WeakMap<PriceBook, Map<string, PriceBook>>();
const changesOf = new WeakMap<PriceBook, string[]>();

/**
 * The book as it was on a day: each price with the amount that was valid then. A video is priced by the
 * day on which it was asked for, storage by each day on which it is kept.
 *
 * @param day `2026-11-22`, UTC
 * @throws InvalidInputError when it is no day.
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

/** The days on which prices of a book changed, in order. */
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
