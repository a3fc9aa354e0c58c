import { isDay } from '#core/day.ts';
import { InvalidInputError } from '#core/errors.ts';
import { parseUsd } from '#core/pricing/money.ts';

/** A product of AWS's price list, with what it costs on demand. */
export interface ListedProduct {
  /** `AmazonS3`, ... */
  service: string;
  sku: string;
  attributes: Readonly<Record<string, string>>;
  /** By the volume from which they hold, the first from 0 on, without a gap. */
  tiers: readonly ListedTier[];
  /** `2026-07-01`: the first day of this price. */
  effectiveOn: string;
  /** `2026-07-28`: when the list was published. */
  publishedOn: string;
}

export interface ListedTier {
  rateCode: string;
  /** Volume, in the unit, from which it holds. */
  from: number;
  unit: string;
  /** Pico-dollars. */
  amount: bigint;
}

const FORMAT_VERSION = 'v1.0';

/** The term of what is bought without a promise; reservations are others. */
const ON_DEMAND = 'OnDemand';

/** Prices have at most ten digits after the point; what is finer would not be counted. */
const LISTED_AMOUNT = /^\d+(\.\d+)?$/;

/**
 * Reads an offer file of the bulk price list (`formatVersion`, `offerCode`, `products`, `terms`).
 * Products without a term on demand are left out.
 *
 * @throws InvalidInputError naming the place that is missing or wrong.
 */
export function readOfferFile(json: unknown): ListedProduct[] {
  const file = record(json, 'offer file');
  if (file['formatVersion'] !== FORMAT_VERSION) {
    throw wrong('formatVersion', file['formatVersion'], FORMAT_VERSION);
  }
  const service = text(file['offerCode'], 'offerCode');
  const publishedOn = day(file['publicationDate'], 'publicationDate');
  const products = record(file['products'], 'products');
  const terms = record(record(file['terms'], 'terms')[ON_DEMAND], `terms.${ON_DEMAND}`);
  return Object.entries(terms).map(([sku, offers]) => {
    const product = record(products[sku], `products.${sku}`);
    return listedProduct(
      { service, publishedOn, product, offers, sku },
      `terms.${ON_DEMAND}.${sku}`,
    );
  });
}

/**
 * Reads the `PriceList` of GetProducts: documents of one product each, as text.
 *
 * @throws InvalidInputError naming the document and the place.
 */
export function readProductDocuments(documents: readonly string[]): ListedProduct[] {
  return documents.flatMap((document, index) => {
    const place = `PriceList[${index}]`;
    const parsed = record(parseJson(document, place), place);
    const product = record(parsed['product'], `${place}.product`);
    const offers = record(parsed['terms'], `${place}.terms`)[ON_DEMAND];
    if (offers === undefined) return [];
    return listedProduct(
      {
        service: text(parsed['serviceCode'], `${place}.serviceCode`),
        publishedOn: day(parsed['publicationDate'], `${place}.publicationDate`),
        product,
        offers,
        sku: text(product['sku'], `${place}.product.sku`),
      },
      `${place}.terms.${ON_DEMAND}`,
    );
  });
}

/** @throws InvalidInputError naming what was to be JSON. */
export function parseJson(content: string, place: string): unknown {
  try {
    return JSON.parse(content);
  } catch (error) {
    throw new InvalidInputError(
      place,
      `${place} is not JSON: ${(error as Error).message}`,
      'fetch it again: it may have been cut off',
    );
  }
}

interface Found {
  service: string;
  publishedOn: string;
  product: Record<string, unknown>;
  offers: unknown;
  sku: string;
}

function listedProduct(
  { service, publishedOn, product, offers, sku }: Found,
  place: string,
): ListedProduct {
  const attributes = record(product['attributes'], `products.${sku}.attributes`);
  const [offer, ...others] = Object.values(record(offers, place));
  if (offer === undefined || others.length > 0) {
    throw wrong(place, `${others.length + (offer === undefined ? 0 : 1)} offers`, 'one offer');
  }
  const term = record(offer, place);
  return {
    service,
    sku,
    publishedOn,
    effectiveOn: day(term['effectiveDate'], `${place}.effectiveDate`),
    attributes: Object.fromEntries(
      Object.entries(attributes).map(([name, value]) => [name, String(value)]),
    ),
    tiers: tiers(record(term['priceDimensions'], `${place}.priceDimensions`), place),
  };
}

function tiers(dimensions: Record<string, unknown>, place: string): ListedTier[] {
  const found = Object.entries(dimensions)
    .map(([rateCode, value]) => {
      const at = `${place}.${rateCode}`;
      const dimension = record(value, at);
      return {
        at,
        to: bound(dimension['endRange'], `${at}.endRange`),
        tier: {
          rateCode: text(dimension['rateCode'], `${at}.rateCode`),
          from: bound(dimension['beginRange'], `${at}.beginRange`),
          unit: text(dimension['unit'], `${at}.unit`),
          amount: dollars(record(dimension['pricePerUnit'], `${at}.pricePerUnit`), at),
        },
      };
    })
    .sort((one, other) => one.tier.from - other.tier.from);
  if (found.length === 0) throw wrong(place, 'no price', 'one price at least');
  let reached = 0;
  for (const { at, to, tier } of found) {
    if (tier.from !== reached) throw wrong(`${at}.beginRange`, tier.from, String(reached));
    if (!(to > tier.from)) throw wrong(`${at}.endRange`, to, `more than ${tier.from}`);
    if (tier.unit !== found[0]!.tier.unit)
      throw wrong(`${at}.unit`, tier.unit, 'that of the others');
    reached = to;
  }
  if (reached !== Infinity) throw wrong(`${found.at(-1)!.at}.endRange`, reached, 'Inf');
  return found.map(({ tier }) => tier);
}

/** Dollars alone: prices in another currency are those of another part of AWS. */
function dollars(pricePerUnit: Record<string, unknown>, place: string): bigint {
  const { USD: usd, ...others } = pricePerUnit;
  if (usd === undefined) {
    throw wrong(`${place}.pricePerUnit`, Object.keys(others).join(', '), 'dollars (USD)');
  }
  if (typeof usd !== 'string' || !LISTED_AMOUNT.test(usd)) {
    throw wrong(`${place}.pricePerUnit.USD`, usd, 'an amount as text, not negative');
  }
  // Ten digits after the point are listed, and trailing zeros beyond the twelfth say nothing.
  return parseUsd(usd.replace(/(\.\d{12})0+$/, '$1'), `${place}.pricePerUnit.USD`);
}

function bound(value: unknown, place: string): number {
  if (value === 'Inf') return Infinity;
  if (typeof value === 'string' && /^\d+(\.\d+)?$/.test(value)) return Number(value);
  throw wrong(place, value, 'a volume as text, or Inf');
}

function day(value: unknown, place: string): string {
  const found = typeof value === 'string' ? value.slice(0, '2026-07-28'.length) : value;
  if (isDay(found)) return found;
  throw wrong(place, value, 'a time such as 2026-07-28T13:10:00Z');
}

function record(value: unknown, place: string): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  throw wrong(place, value, 'an object');
}

function text(value: unknown, place: string): string {
  if (typeof value === 'string' && value !== '') return value;
  throw wrong(place, value, 'text');
}

function wrong(place: string, value: unknown, expected: string): InvalidInputError {
  return new InvalidInputError(
    place,
    `${place} of the price list is ${JSON.stringify(value) ?? String(value)}, not ${expected}`,
    "give AWS's own file as it was fetched, or the whole of a page of GetProducts",
  );
}
