import { InvalidInputError } from '../errors.ts';
import { formatUsd, parseUsd, PICO_USD_PER_USD } from './money.ts';
import { knownPriceId, machineOfPriceId, type PriceId } from './price-ids.ts';
import type { Price, PriceBook } from './prices.ts';

/** Prices that were read off a bill or the market, by id; pico-dollars for one unit. */
export type MeasuredPrices = ReadonlyMap<PriceId, bigint>;

/** A price this many times what the book says, or this part of it, is a slip of the unit. */
const MOST_TIMES = 100n;

/** An hour of no machine costs as much. */
const MOST_PER_HOUR = 1000n * PICO_USD_PER_USD;

const EXAMPLE = 'ec2.g6.xlarge.spot=0.31';

/**
 * Reads measured prices: `id=dollars`, several separated by commas, or a JSON object of dollars as text.
 *
 * @param field how the input is called, for errors
 * @throws InvalidInputError naming the id that is none, is given twice, or has no amount.
 * @example parseMeasuredPrices('ec2.g6.xlarge.spot=0.31', '--override')
 */
export function parseMeasuredPrices(text: string, field: string): MeasuredPrices {
  const measured = new Map<PriceId, bigint>();
  for (const [id, dollars] of text.trim().startsWith('{') ? inJson(text, field) : inPairs(text)) {
    const known = knownPriceId(id);
    if (known === null) {
      throw new InvalidInputError(
        field,
        `${field} names ${JSON.stringify(id)}, which is no price`,
        `name a price as flexcache prices show lists it, e.g. ${EXAMPLE}`,
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
 * The book with measured prices in the place of its own. A machine that the book does not have is added.
 *
 * @throws InvalidInputError when a price cannot be: zero, or far from the book's.
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
      source: `measured; the book of ${book.region} says ${listed === undefined ? 'nothing' : `$${formatUsd(listed.amount)}`}`,
      asOf: listed?.asOf ?? book.asOf,
      ...(listed?.free !== undefined && { free: listed.free }),
    });
  }
  return { ...book, prices };
}

function refuseAbsurd(id: PriceId, amount: bigint, listed: Price | undefined): void {
  const isOff =
    listed === undefined
      ? amount > MOST_PER_HOUR || machineOfPriceId(id) === null
      : amount > listed.amount * MOST_TIMES || amount * MOST_TIMES < listed.amount;
  if (amount > 0n && !isOff) return;
  throw new InvalidInputError(
    id,
    `the measured price of ${id} is $${formatUsd(amount)}${listed === undefined ? '' : ` a ${listed.unit}, where the book has $${formatUsd(listed.amount)}`}`,
    'give dollars for one unit of the price, as flexcache prices show names it',
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
