import { InvalidInputError } from '../errors.ts';
import { formatUsd, parseUsd, PICO_USD_PER_USD } from './money.ts';
import { knownPriceId, machineOfPriceId, type PriceId } from './price-ids.ts';
import type { Price, PriceBook } from './prices.ts';

/** Prices from a bill or the Spot market, by id; pico-dollars per unit. */
export type MeasuredPrices = ReadonlyMap<PriceId, bigint>;

/** A price off by this factor from the book indicates a wrong unit. */
const MAX_TIMES = 100n;

/** Above the hourly price of any machine. */
const MAX_PER_HOUR = 1000n * PICO_USD_PER_USD;

const EXAMPLE = 'ec2.g6.xlarge.spot=0.31';

/**
 * Parses measured prices: `id=dollars`, separated by commas, or a JSON object of dollars as text.
 *
 * @param field name of the input, for errors
 * @throws InvalidInputError if an id is unknown, given twice, or has no valid amount.
 * @example parseMeasuredPrices('ec2.g6.xlarge.spot=0.31', '--override')
 */
export function parseMeasuredPrices(text: string, field: string): MeasuredPrices {
  const measured = new Map<PriceId, bigint>();
  for (const [id, dollars] of text.trim().startsWith('{') ? inJson(text, field) : inPairs(text)) {
    const known = knownPriceId(id);
    if (known === null) {
      throw new InvalidInputError(
        field,
        `${field} contains ${JSON.stringify(id)}, which is not a price id`,
        `use a price id of flexcache prices show, such as ${EXAMPLE}`,
      );
    }
    if (measured.has(known)) {
      throw new InvalidInputError(field, `${field} gives ${id} twice`, 'give each price once');
    }
    measured.set(known, parseUsd(dollars, `${field} ${id}`));
  }
  return measured;
}

/**
 * Returns the book with measured prices. Adds machines that are not in the book.
 *
 * @throws InvalidInputError if a price is zero or implausible.
 */
export function withMeasuredPrices(book: PriceBook, measured: MeasuredPrices): PriceBook {
  if (measured.size === 0) return book;
  const prices = new Map(book.prices);
  for (const [id, amount] of measured) {
    const listed = book.prices.get(id);
    refuseAbsurd(id, amount, listed);
    prices.set(id, {
      id,
      amount,
      unit: listed?.unit ?? 'hour',
      source: `measured; the book of ${book.region} has ${listed === undefined ? 'no price' : `$${formatUsd(listed.amount)}`}`,
      asOf: listed?.asOf ?? book.asOf,
      ...(listed?.free !== undefined && { free: listed.free }),
    });
  }
  return { ...book, prices };
}

function refuseAbsurd(id: PriceId, amount: bigint, listed: Price | undefined): void {
  const isOff =
    listed === undefined
      ? amount > MAX_PER_HOUR || machineOfPriceId(id) === null
      : amount > listed.amount * MAX_TIMES || amount * MAX_TIMES < listed.amount;
  if (amount > 0n && !isOff) return;
  throw new InvalidInputError(
    id,
    `the measured price of ${id} is $${formatUsd(amount)}${listed === undefined ? '' : ` per ${listed.unit}, but the book has $${formatUsd(listed.amount)}`}`,
    'give dollars per unit, with the unit that flexcache prices show lists',
  );
}

function inPairs(text: string): [string, string][] {
  return text
    .split(',')
    .map((pair) => pair.trim())
    .filter((pair) => pair !== '')
    .map((pair) => {
      const equals = pair.indexOf('=');
      return equals < 0
        ? [pair, '']
        : [pair.slice(0, equals).trim(), pair.slice(equals + 1).trim()];
    });
}

function inJson(text: string, field: string): [string, unknown][] {
  try {
    return Object.entries(JSON.parse(text) as Record<string, unknown>);
  } catch (error) {
    throw new InvalidInputError(
      field,
      `${field} is not JSON: ${(error as Error).message}`,
      `give an object such as {"ec2.g6.xlarge.spot": "0.31"}, or ${EXAMPLE}`,
    );
  }
}
