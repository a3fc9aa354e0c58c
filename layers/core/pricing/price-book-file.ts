import { isDay } from '../day.ts';
import { InvalidInputError } from '../errors.ts';
import { parseUsd } from './money.ts';
import {
  knownPriceId,
  machineOfPriceId,
  machinePriceId,
  PRICE_IDS,
  PURCHASE_OPTIONS,
  UnknownPriceError,
  type PriceId,
  type PurchaseOption,
} from './price-ids.ts';
import type { PastPrice, Price, PriceBook, PriceRange } from './prices.ts';

/** Format version of the checked-in JSON. */
export const PRICE_BOOK_FORMAT = 'flexcache-prices/1';

const DAY_OR_MONTH = /^\d{4}-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?$/;

/**
 * Parses a checked-in price book.
 *
 * @throws InvalidInputError with the first missing or invalid field.
 * @throws UnknownPriceError for the first missing price of `PRICE_IDS`.
 */
export function parsePriceBook(json: unknown): PriceBook {
  const book = record(json, 'price book');
  expect(book['format'], PRICE_BOOK_FORMAT, 'format');
  expect(book['currency'], 'USD', 'currency');
  const region = text(book['region'], 'region');
  const reference = record(book['reference'], 'reference');
  const prices = new Map<string, Price>();
  for (const [id, entry] of Object.entries(record(book['prices'], 'prices'))) {
    prices.set(id, price(knownId(id), record(entry, id)));
  }
  for (const id of PRICE_IDS) if (!prices.has(id)) throw new UnknownPriceError(id, region);
  const parsed: PriceBook = {
    region,
    asOf: date(book['asOf'], 'asOf'),
    reference: {
      instanceType: text(reference['instanceType'], 'reference.instanceType'),
      purchaseOption: purchaseOption(reference['purchaseOption']),
      lambdaMegabytes: positive(reference['lambdaMegabytes'], 'reference.lambdaMegabytes'),
    },
    prices,
  };
  const referenceId = machinePriceId(parsed.reference);
  if (!prices.has(referenceId)) throw new UnknownPriceError(referenceId, region);
  return parsed;
}

function price(id: PriceId, given: Record<string, unknown>): Price {
  const amount = parseUsd(given['usd'], `${id}.usd`);
  const isSpot = machineOfPriceId(id)?.purchaseOption === 'spot';
  const { rateCode, uncertain, range: limits, history: past, free } = given;
  if (isSpot !== (limits !== undefined)) {
    throw wrong(`${id}.range`, limits, isSpot ? 'a range' : 'absent, because only Spot has one');
  }
  return {
    id,
    amount,
    unit: text(given['unit'], `${id}.unit`),
    source: text(given['source'], `${id}.source`),
    asOf: date(given['asOf'], `${id}.asOf`),
    ...(rateCode !== undefined && { rateCode: text(rateCode, `${id}.rateCode`) }),
    ...(uncertain !== undefined && { uncertain: always(uncertain, `${id}.uncertain`) }),
    ...(limits !== undefined && { range: range(limits, amount, `${id}.range`) }),
    ...(past !== undefined && { history: history(past, `${id}.history`) }),
    ...(free !== undefined && { free: allowance(free, `${id}.free`) }),
  };
}

function range(value: unknown, amount: bigint, field: string): PriceRange {
  const given = record(value, field);
  const low = parseUsd(given['low'], `${field}.low`);
  const high = parseUsd(given['high'], `${field}.high`);
  if (low <= amount && amount <= high) return { low, high };
  throw wrong(field, value, 'two amounts with the figure used between them');
}

function history(value: unknown, field: string): PastPrice[] {
  if (!Array.isArray(value) || value.length === 0) throw wrong(field, value, 'a list of amounts');
  const past = value.map((entry: unknown, index): PastPrice => {
    const place = `${field}[${index}]`;
    const given = record(entry, place);
    return {
      amount: parseUsd(given['usd'], `${place}.usd`),
      until: day(given['until'], `${place}.until`),
      source: text(given['source'], `${place}.source`),
    };
  });
  past.forEach(({ until }, index) => {
    const before = past[index - 1];
    if (before !== undefined && before.until >= until) {
      throw wrong(`${field}[${index}].until`, until, `a day after ${before.until}`);
    }
  });
  return past;
}

function knownId(id: string): PriceId {
  const known = knownPriceId(id);
  if (known !== null) return known;
  throw wrong(id, id, 'one of PRICE_IDS or ec2.{type}.{on-demand|spot}');
}

function record(value: unknown, field: string): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  throw wrong(field, value, 'an object');
}

function text(value: unknown, field: string): string {
  if (typeof value === 'string' && value !== '') return value;
  throw wrong(field, value, 'text');
}

function expect(value: unknown, expected: string, field: string): void {
  if (value !== expected) throw wrong(field, value, expected);
}

function always(value: unknown, field: string): true {
  if (value === true) return true;
  throw wrong(field, value, 'true, or absent');
}

function date(value: unknown, field: string): string {
  if (typeof value === 'string' && DAY_OR_MONTH.test(value)) return value;
  throw wrong(field, value, 'a day or month like 2026-11-22 or 2026-11');
}

function day(value: unknown, field: string): string {
  if (isDay(value)) return value;
  throw wrong(field, value, 'a day like 2026-11-22');
}

function purchaseOption(value: unknown): PurchaseOption {
  const known = PURCHASE_OPTIONS.find((candidate) => candidate === value);
  if (known !== undefined) return known;
  throw wrong('reference.purchaseOption', value, PURCHASE_OPTIONS.join(' or '));
}

function allowance(value: unknown, field: string): NonNullable<Price['free']> {
  const given = record(value, field);
  return {
    quantity: positive(given['quantity'], `${field}.quantity`),
    source: text(given['source'], `${field}.source`),
  };
}

function positive(value: unknown, field: string): number {
  if (typeof value === 'number' && Number.isInteger(value) && value > 0) return value;
  throw wrong(field, value, 'a whole number above 0');
}

function wrong(field: string, value: unknown, expected: string): InvalidInputError {
  return new InvalidInputError(
    field,
    `${field} of the price book is ${JSON.stringify(value) ?? String(value)}, not ${expected}`,
    'correct the JSON file in layers/core/pricing/prices',
  );
}
