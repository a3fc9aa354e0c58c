import { FlexCacheError, InvalidInputError } from './errors.ts';
import { parseUsd } from './money.ts';
import usEast1 from './prices/us-east-1.json' with { type: 'json' };

/** Prices that every book has; those of instances (`ec2.{type}.{purchase option}`) come beside them. */
export const PRICE_IDS = [
  'lambda.gb-second.x86_64',
  'lambda.gb-second.arm64',
  'lambda.request',
  'states.transition',
  'dynamodb.read-unit',
  'dynamodb.write-unit',
  'dynamodb.storage',
  'dynamodb.point-in-time-recovery',
  's3.put-request',
  's3.put-request.standard-ia',
  's3.put-request.glacier-ir',
  's3.get-request',
  's3.get-request.standard-ia',
  's3.get-request.glacier-ir',
  's3.transition-request.intelligent-tiering',
  's3.transition-request.standard-ia',
  's3.transition-request.glacier-ir',
  's3.retrieval.standard-ia',
  's3.retrieval.glacier-ir',
  's3.storage.standard',
  's3.storage.standard-ia',
  's3.storage.glacier-ir',
  's3.storage.intelligent-tiering.frequent',
  's3.storage.intelligent-tiering.infrequent',
  's3.storage.intelligent-tiering.archive-instant',
  's3.monitored-object',
  's3vectors.storage',
  's3vectors.put',
  's3vectors.query',
  's3vectors.query-data.first-100k',
  's3vectors.query-data.over-100k',
  's3vectors.query-data.over-10m',
  'sqs.request',
  'apigateway.http-request',
  'transfer.egress',
  'transfer.public-ipv4',
  'ecr.storage',
  'ebs.gp3-storage',
  'cloudwatch.alarm',
  'cloudwatch.dashboard',
  'cloudwatch.metric',
  'cloudwatch.logs-ingested',
  'cloudwatch.logs-stored',
  'scheduler.invocation',
] as const;

export const PURCHASE_OPTIONS = ['on-demand', 'spot'] as const;

export type PurchaseOption = (typeof PURCHASE_OPTIONS)[number];

export type PriceId = (typeof PRICE_IDS)[number] | `ec2.${string}.${PurchaseOption}`;

/** What one unit of something costs. */
export interface Price {
  id: PriceId;
  /** Pico-dollars for one unit. */
  amount: bigint;
  unit: string;
  /** Where the figure is from; says so when it is uncertain. */
  source: string;
  /** `2026-11-22` or `2026-11`: when the figure was last held against its source. */
  asOf: string;
  /** What it was before, oldest first: each amount was valid until its day came (UTC). */
  history?: readonly PastPrice[];
  /** What an account uses of it each month without paying; bills of single videos leave it out. */
  free?: { quantity: number; source: string };
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

/** A GPU machine as it is billed. */
export interface Machine {
  instanceType: string;
  purchaseOption: PurchaseOption;
}

/** A price that is not in the book. It is never taken to be zero. */
export class UnknownPriceError extends FlexCacheError {
  readonly priceId: string;

  constructor(priceId: string, region: string) {
    super('internal', `there is no price of ${priceId} in ${region}`, {
      field: priceId,
      fix: `add it, with its source, to layers/core/prices/${region}.json`,
    });
    this.name = 'UnknownPriceError';
    this.priceId = priceId;
  }
}

/** @throws UnknownPriceError */
export function priceIn(book: PriceBook, id: PriceId): Price {
  const price = book.prices.get(id);
  if (price === undefined) throw new UnknownPriceError(id, book.region);
  return price;
}

const booksByDay = new WeakMap<PriceBook, Map<string, PriceBook>>();

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
  const changes = [...book.prices.values()].flatMap(({ history = [] }) =>
    history.map(({ until }) => until),
  );
  const ahead = changes.filter((until) => day < until).sort();
  const [next] = ahead;
  if (next === undefined) return book;
  const known = booksByDay.get(book) ?? new Map<string, PriceBook>();
  booksByDay.set(book, known);
  let found = known.get(next);
  if (found === undefined) {
    found = {
      ...book,
      prices: new Map([...book.prices].map(([id, price]) => [id, on(price, day)])),
    };
    known.set(next, found);
  }
  return found;
}

function on(price: Price, day: string): Price {
  const past = price.history?.find(({ until }) => day < until);
  return past === undefined ? price : { ...price, amount: past.amount, source: past.source };
}

/** The price of an hour of a machine. */
export function machinePriceId({ instanceType, purchaseOption }: Machine): PriceId {
  return `ec2.${instanceType}.${purchaseOption}`;
}

const DAY_OR_MONTH = /^\d{4}-\d{2}(-\d{2})?$/;

/**
 * Reads a book as it is checked in.
 *
 * @throws InvalidInputError naming the first part that is missing or wrong.
 */
export function parsePriceBook(json: unknown): PriceBook {
  const book = record(json, 'price book');
  const region = text(book['region'], 'region');
  const reference = record(book['reference'], 'reference');
  const prices = new Map<string, Price>();
  for (const [id, entry] of Object.entries(record(book['prices'], 'prices'))) {
    const given = record(entry, id);
    prices.set(id, {
      id: knownId(id),
      amount: parseUsd(given['usd'], `${id}.usd`),
      unit: text(given['unit'], `${id}.unit`),
      source: text(given['source'], `${id}.source`),
      asOf: date(given['asOf'], `${id}.asOf`),
      ...(given['history'] !== undefined && {
        history: history(given['history'], `${id}.history`),
      }),
      ...(given['free'] !== undefined && { free: allowance(given['free'], `${id}.free`) }),
    });
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
  priceIn(parsed, machinePriceId(parsed.reference));
  return parsed;
}

const BOOKS: readonly PriceBook[] = [parsePriceBook(usEast1)];

/** What is embedded is priced as if it ran here. */
export const DEFAULT_PRICE_REGION = 'us-east-1';

/**
 * The checked-in book of a region.
 *
 * @throws InvalidInputError when there is none: prices of another region would be wrong.
 */
export function priceBookOf(region: string): PriceBook {
  const book = BOOKS.find((candidate) => candidate.region === region);
  if (book !== undefined) return book;
  const regions = BOOKS.map((candidate) => candidate.region).join(', ');
  throw new InvalidInputError(
    'region',
    `there is no price book of region "${region}"`,
    `use one of ${regions}, or add layers/core/prices/${region}.json`,
  );
}

function knownId(id: string): PriceId {
  const known = PRICE_IDS.find((candidate) => candidate === id);
  if (known !== undefined) return known;
  const [, instanceType, option] = /^ec2\.(.+)\.([a-z-]+)$/.exec(id) ?? [];
  const purchase = PURCHASE_OPTIONS.find((candidate) => candidate === option);
  if (instanceType !== undefined && purchase !== undefined) {
    return machinePriceId({ instanceType, purchaseOption: purchase });
  }
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

function date(value: unknown, field: string): string {
  if (typeof value === 'string' && DAY_OR_MONTH.test(value)) return value;
  throw wrong(field, value, 'a day or month like 2026-11-22 or 2026-11');
}

function history(value: unknown, field: string): PastPrice[] {
  if (!Array.isArray(value) || value.length === 0) throw wrong(field, value, 'a list of amounts');
  const past = value.map((entry: unknown, index): PastPrice => {
    const given = record(entry, `${field}[${index}]`);
    const { until } = given;
    if (!isDay(until)) throw wrong(`${field}[${index}].until`, until, 'a day like 2026-11-22');
    return {
      amount: parseUsd(given['usd'], `${field}[${index}].usd`),
      until,
      source: text(given['source'], `${field}[${index}].source`),
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

/** Whether it is a day of the calendar; 29 February in leap years alone. */
function isDay(value: unknown): value is string {
  if (typeof value !== 'string' || !/^\d{4}-\d{2}-\d{2}$/.test(value)) return false;
  const time = Date.parse(`${value}T00:00:00Z`);
  return !Number.isNaN(time) && new Date(time).toISOString().startsWith(value);
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
    'correct the JSON file in layers/core/prices',
  );
}
