import { costOfJob, type PricedJob } from '#core/costs/cost.ts';
import { parseMeasuredPrices, withMeasuredPrices } from '#core/pricing/measured-prices.ts';
import {
  DEFAULT_PRICE_REGION,
  PRICE_REGIONS,
  priceBookOf,
  type PriceBook,
} from '#core/pricing/prices.ts';
import { ENVIRONMENT } from './environment.ts';

type Variables = Readonly<Record<string, string | undefined>>;

/**
 * The prices that a deployed function reckons by: those of `FLEXCACHE_PRICE_REGION`, which the stack sets
 * where it knows its region; otherwise those of the region that the function runs in, or, where that has
 * no book, those of us-east-1. Every cost says of which region its prices are. Measured prices of
 * `FLEXCACHE_PRICE_OVERRIDES` come before the book's.
 *
 * @throws InvalidInputError naming the variable that is wrong.
 */
export function deployedPrices(variables: Variables = process.env): PriceBook {
  return pricesIn(variables, bookRegionOf(variables['AWS_REGION'] ?? null));
}

/** Whose prices are reckoned by in a region when nobody says: its own where they are known. */
export function bookRegionOf(region: string | null): string {
  return region !== null && PRICE_REGIONS.includes(region) ? region : DEFAULT_PRICE_REGION;
}

/** The prices that this machine's work is reckoned by, whatever region its tools are set to. */
export function embeddedPrices(variables: Variables = process.env): PriceBook {
  return pricesIn(variables, DEFAULT_PRICE_REGION);
}

/** What jobs cost by a book, pico-dollars, wasted work included. */
export function costBy(book: PriceBook): (job: PricedJob) => bigint {
  return (job) => costOfJob(job, book).total;
}

function pricesIn(variables: Variables, fallback: string): PriceBook {
  const region = variables[ENVIRONMENT.priceRegion];
  const measured = variables[ENVIRONMENT.priceOverrides] ?? '';
  return withMeasuredPrices(
    priceBookOf(region === undefined || region === '' ? fallback : region),
    parseMeasuredPrices(measured, ENVIRONMENT.priceOverrides),
  );
}
