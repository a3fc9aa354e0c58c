import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { InvalidInputError } from '#core/errors.ts';
import { PICO_USD_PER_USD } from '#core/money.ts';
import {
  machinePriceId,
  parsePriceBook,
  PRICE_IDS,
  priceBookOf,
  priceIn,
  UnknownPriceError,
} from '#core/prices.ts';

interface BookFile {
  asOf: unknown;
  reference: Record<string, unknown>;
  prices: Record<string, Record<string, unknown>>;
}

async function bookFile(): Promise<BookFile> {
  const path = new URL('../../layers/core/prices/us-east-1.json', import.meta.url);
  return JSON.parse(await readFile(path, 'utf8')) as BookFile;
}

describe('the book of us-east-1', () => {
  const book = priceBookOf('us-east-1');

  test('has every price, above zero, with a source', () => {
    for (const id of PRICE_IDS) {
      const price = priceIn(book, id);
      expect(price.amount, id).toBeGreaterThan(0n);
      expect(price.source.length, id).toBeGreaterThan(20);
    }
  });

  test('asks less for Spot than On-Demand, for every instance type', () => {
    const onDemand = [...book.prices.values()].filter(({ id }) => id.endsWith('.on-demand'));
    expect(onDemand.length).toBeGreaterThan(5);
    for (const { id, amount } of onDemand) {
      const instanceType = id.slice('ec2.'.length, -'.on-demand'.length);
      const spot = priceIn(book, machinePriceId({ instanceType, purchaseOption: 'spot' }));
      expect(spot.amount, id).toBeLessThan(amount);
      expect(amount, id).toBeLessThan(10n * PICO_USD_PER_USD);
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
  expect(asking).toThrow('there is no price of ec2.p9.xlarge.spot in us-east-1');
});

test('a region without a book is refused rather than priced as another', () => {
  expect(() => priceBookOf('eu-west-1')).toThrow(/region "eu-west-1"/);
});

describe('parsePriceBook', () => {
  test('names a price that is missing', async () => {
    const file = await bookFile();
    delete file.prices['sqs.request'];

    expect(() => parsePriceBook(file)).toThrow(/no price of sqs\.request/);
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
    ['asOf', (file) => (file.asOf = undefined)],
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
