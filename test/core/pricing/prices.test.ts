import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { InvalidInputError } from '#core/errors.ts';
import { PICO_USD_PER_USD } from '#core/pricing/money.ts';
import { parsePriceBook } from '#core/pricing/price-book-file.ts';
import { PRICE_IDS } from '#core/pricing/price-ids.ts';
import {
  bookOn,
  machinePriceId,
  PRICE_REGIONS,
  priceBookOf,
  priceIn,
  UnknownPriceError,
} from '#core/pricing/prices.ts';

interface BookFile {
  format: unknown;
  currency: unknown;
  asOf: unknown;
  reference: Record<string, unknown>;
  prices: Record<string, Record<string, unknown>>;
}

async function bookFile(): Promise<BookFile> {
  const path = new URL('../../../layers/core/pricing/prices/us-east-1.json', import.meta.url);
  return JSON.parse(await readFile(path, 'utf8')) as BookFile;
}

describe.each(PRICE_REGIONS)('the book of %s', (region) => {
  const book = priceBookOf(region);

  test('has every price, above zero, with a source', () => {
    for (const id of PRICE_IDS) {
      const price = priceIn(book, id);
      expect(price.amount, id).toBeGreaterThan(0n);
      expect(price.source.length, id).toBeGreaterThan(20);
    }
  });

  test('asks less for Spot than On-Demand, for every instance type, and says between what', () => {
    const onDemand = [...book.prices.values()].filter(({ id }) => id.endsWith('.on-demand'));
    expect(onDemand.length).toBeGreaterThanOrEqual(3);
    for (const { id, amount } of onDemand) {
      const instanceType = id.slice('ec2.'.length, -'.on-demand'.length);
      const spot = priceIn(book, machinePriceId({ instanceType, purchaseOption: 'spot' }));
      expect(spot.amount, id).toBeLessThan(amount);
      expect(spot.range!.low, id).toBeLessThanOrEqual(spot.amount);
      expect(spot.range!.high, id).toBe(spot.amount);
      expect(amount, id).toBeLessThan(10n * PICO_USD_PER_USD);
    }
  });

  test('says of what is remembered that it is', () => {
    for (const { id, source, uncertain } of book.prices.values()) {
      expect(uncertain === true, id).toBe(/remembered|taken as in|taken for/i.test(source));
    }
  });
});

test('a price that is not in the book is named, with what to do', () => {
  const asking = () =>
    priceIn(
      priceBookOf('us-east-1'),
      machinePriceId({ instanceType: 'p9.xlarge', purchaseOption: 'spot' }),
    );

  expect(asking).toThrow(UnknownPriceError);
  expect(asking).toThrow('there is no price for ec2.p9.xlarge.spot in us-east-1');
});

test('a region without a book is refused rather than priced as another', () => {
  expect(() => priceBookOf('eu-west-9')).toThrow(/region "eu-west-9"/);
  expect(() => priceBookOf('toString')).toThrow(/region "toString"/);
});

function past(until: string, usd = '1'): Record<string, string> {
  return { until, usd, source: 'an earlier list' };
}

describe('a book on a day', () => {
  async function bookWith(history: unknown[]) {
    const file = await bookFile();
    file.prices['sqs.request']!['history'] = history;
    return parsePriceBook(file);
  }
  const dollars = (book: ReturnType<typeof priceBookOf>): bigint =>
    priceIn(book, 'sqs.request').amount / PICO_USD_PER_USD;

  test('has what was valid then: until the day of a change, and from it on', async () => {
    const book = await bookWith([past('2024-02-29', '9'), past('2026-11-16', '7')]);

    expect(dollars(bookOn(book, '2020-01-01'))).toBe(9n);
    expect(dollars(bookOn(book, '2024-02-28'))).toBe(9n);
    expect(dollars(bookOn(book, '2024-02-29'))).toBe(7n);
    expect(dollars(bookOn(book, '2024-03-01'))).toBe(7n);
    expect(dollars(bookOn(book, '2026-11-15'))).toBe(7n);
    expect(dollars(bookOn(book, '2026-11-16'))).toBe(0n);
    expect(dollars(bookOn(book, '2030-12-31'))).toBe(0n);
  });

  test('is the same object for all days between two changes', async () => {
    const book = await bookWith([past('2026-11-16')]);

    expect(bookOn(book, '2026-11-15')).toBe(bookOn(book, '2026-11-15'));
    expect(bookOn(book, '2026-12-01')).toBe(book);
  });

  test('leaves prices alone that did not change', async () => {
    const book = await bookWith([past('2026-11-16')]);

    expect(priceIn(bookOn(book, '2026-11-15'), 'lambda.request')).toBe(
      priceIn(book, 'lambda.request'),
    );
  });

  test('knows what DynamoDB cost before it was halved', () => {
    const book = priceBookOf('us-east-1');
    const unit = (day: string): bigint => priceIn(bookOn(book, day), 'dynamodb.write-unit').amount;

    expect(unit('2024-10-31')).toBe(2n * unit('2024-11-01'));
  });

  test.each(['2026-02-29', '2026-11', 'today', '2026-11-31', ''])('%j is no day', (day) => {
    expect(() => bookOn(priceBookOf('us-east-1'), day)).toThrow(InvalidInputError);
  });
});

describe('parsePriceBook', () => {
  test('names a price that is missing', async () => {
    const file = await bookFile();
    delete file.prices['sqs.request'];

    expect(() => parsePriceBook(file)).toThrow(/no price for sqs\.request/);
  });

  test('names the reference machine when it has no price', async () => {
    const file = await bookFile();
    file.reference['instanceType'] = 'g6.absent';

    expect(() => parsePriceBook(file)).toThrow(/ec2\.g6\.absent\.on-demand/);
  });

  test.each<[string, (file: BookFile) => void]>([
    ['sqs.request.usd', (file) => (file.prices['sqs.request']!['usd'] = '-0.1')],
    ['sqs.request.usd', (file) => (file.prices['sqs.request']!['usd'] = 0.0000004)],
    ['sqs.request.source', (file) => (file.prices['sqs.request']!['source'] = '')],
    ['sqs.request.unit', (file) => delete file.prices['sqs.request']!['unit']],
    ['sqs.request.asOf', (file) => (file.prices['sqs.request']!['asOf'] = 'today')],
    ['lambda.gb-hour', (file) => (file.prices['lambda.gb-hour'] = file.prices['sqs.request']!)],
    ['sqs.request.free', (file) => (file.prices['sqs.request']!['free'] = 1_000_000)],
    [
      'sqs.request.free.quantity',
      (file) => (file.prices['sqs.request']!['free'] = { quantity: -1, source: 'nobody' }),
    ],
    ['sqs.request.uncertain', (file) => (file.prices['sqs.request']!['uncertain'] = 'yes')],
    ['sqs.request.rateCode', (file) => (file.prices['sqs.request']!['rateCode'] = 7)],
    [
      'sqs.request.range',
      (file) => (file.prices['sqs.request']!['range'] = { low: '0', high: '1' }),
    ],
    ['ec2.g6.xlarge.spot.range', (file) => delete file.prices['ec2.g6.xlarge.spot']!['range']],
    [
      'ec2.g6.xlarge.spot.range',
      (file) => (file.prices['ec2.g6.xlarge.spot']!['range'] = { low: '0.1', high: '0.2' }),
    ],
    ['sqs.request.history', (file) => (file.prices['sqs.request']!['history'] = [])],
    [
      'sqs.request.history[0].until',
      (file) => (file.prices['sqs.request']!['history'] = [past('2026-02-29')]),
    ],
    [
      'sqs.request.history[1].until',
      (file) => (file.prices['sqs.request']!['history'] = [past('2026-03-01'), past('2026-03-01')]),
    ],
    ['format', (file) => (file.format = 'flexcache-prices/2')],
    ['currency', (file) => (file.currency = 'CNY')],
    ['asOf', (file) => (file.asOf = undefined)],
    ['asOf', (file) => (file.asOf = '2026-13')],
    ['reference.purchaseOption', (file) => (file.reference['purchaseOption'] = 'embedded')],
    ['reference.lambdaMegabytes', (file) => (file.reference['lambdaMegabytes'] = 0)],
  ])('names %s when it is wrong', async (field, spoil) => {
    const file = await bookFile();
    spoil(file);

    expect(() => parsePriceBook(file)).toThrow(InvalidInputError);
    expect(() => parsePriceBook(file)).toThrow(field);
  });

  test.each([null, [], 'book', { region: 'x' }])('%j is no book', (json) => {
    expect(() => parsePriceBook(json)).toThrow(InvalidInputError);
  });
});
