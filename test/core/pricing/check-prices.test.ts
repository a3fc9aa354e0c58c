import { expect, test } from 'vitest';
import { checkPrices, isWrong, type PriceFinding } from '#core/pricing/check-prices.ts';
import { parseUsd } from '#core/pricing/money.ts';
import { PRICE_REGIONS, priceBookOf, type Price, type PriceBook } from '#core/pricing/prices.ts';

const OPTIONS = { today: '2026-11-23', staleMonths: 12 };
const books = PRICE_REGIONS.map(priceBookOf);

function altered(id: string, change: Partial<Price> | null): PriceBook[] {
  return books.map((book) => {
    if (book.region !== 'us-east-1') return book;
    const prices = new Map(book.prices);
    if (change === null) prices.delete(id);
    else prices.set(id, { ...book.prices.get(id)!, ...change });
    return { ...book, prices };
  });
}

function wrong(found: readonly PriceFinding[]): [string, string][] {
  return found.filter(isWrong).map(({ kind, priceId }) => [kind, priceId]);
}

test('nothing is wrong in the books that are checked in', () => {
  expect(wrong(checkPrices(books, OPTIONS))).toEqual([]);
});

test('what is remembered is named with its source', () => {
  const found = checkPrices(books, OPTIONS).filter(({ kind }) => kind === 'uncertain');

  expect(found.length).toBeGreaterThan(10);
  expect(found).toContainEqual(
    expect.objectContaining({ region: 'us-east-1', priceId: 'scheduler.invocation' }),
  );
});

test.each<[string, string, Partial<Price> | null]>([
  ['missing', 'sqs.request', null],
  ['missing', 'ec2.g6.xlarge.spot', null],
  ['future', 'sqs.request', { asOf: '2026-11-24' }],
  ['future', 'sqs.request', { asOf: '2026-12' }],
  [
    'future',
    'sqs.request',
    {
      asOf: '2026-11-01',
      history: [{ amount: 1n, until: '2026-11-02', source: 'an earlier list' }],
    },
  ],
  ['implausible', 'sqs.request', { amount: parseUsd('0.0000009', 'x') }],
  ['implausible', 'ec2.g6.4xlarge.spot', { amount: parseUsd('1.33', 'x') }],
])('%s: %s', (kind, id, change) => {
  expect(wrong(checkPrices(altered(id, change), OPTIONS))).toContainEqual([kind, id]);
});

test('a price that is too low makes the same price elsewhere stand out', () => {
  const found = checkPrices(altered('sqs.request', { amount: 100_000n }), OPTIONS);

  expect(found.filter(isWrong)).toMatchObject([
    { region: 'us-west-2', priceId: 'sqs.request', kind: 'implausible' },
    { region: 'eu-west-1', priceId: 'sqs.request', kind: 'implausible' },
  ]);
});

test('a month counts as its last day when its age is asked, and as its first against today', () => {
  const at = (asOf: string, today: string): string[] =>
    checkPrices(altered('sqs.request', { asOf }), { today, staleMonths: 1 })
      .filter(({ priceId, kind, region }) => {
        return priceId === 'sqs.request' && kind !== 'uncertain' && region === 'us-east-1';
      })
      .map(({ kind }) => kind);

  expect(at('2024-02', '2024-02-01')).toEqual([]);
  expect(at('2024-02', '2024-01-31')).toEqual(['future']);
  expect(at('2024-02', '2024-03-30')).toEqual([]);
  expect(at('2024-02', '2024-04-02')).toEqual(['stale']);
});
