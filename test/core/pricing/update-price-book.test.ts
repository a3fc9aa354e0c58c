import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { InvalidInputError } from '#core/errors.ts';
import { parseUsd } from '#core/pricing/money.ts';
import { parsePriceBook } from '#core/pricing/price-book-file.ts';
import { bookOn, priceIn } from '#core/pricing/prices.ts';
import {
  updatePriceBook,
  type NewPrice,
  type PriceBookFile,
} from '#core/pricing/update-price-book.ts';

const usd = (text: string): bigint => parseUsd(text, 'expected');

async function bookFile(changes: Record<string, Record<string, unknown>> = {}) {
  const path = new URL('../../../layers/core/pricing/prices/us-east-1.json', import.meta.url);
  const file = JSON.parse(await readFile(path, 'utf8')) as PriceBookFile;
  for (const [id, change] of Object.entries(changes)) Object.assign(file.prices[id]!, change);
  return file;
}

function listed(changes: Partial<NewPrice>): NewPrice {
  return {
    id: 'sqs.request',
    amount: usd('0.0000004'),
    rateCode: 'SKU.JRTCKXETXF.6YS6EN2CT7',
    service: 'AWSQueueService',
    effectiveOn: '2026-12-01',
    publishedOn: '2026-12-03',
    ...changes,
  };
}

describe('a price list', () => {
  test('confirms what it agrees with: another date and source, and certain from now on', async () => {
    const file = await bookFile({ 'sqs.request': { uncertain: true } });

    const { file: updated, changes } = updatePriceBook(file, [listed({})]);

    expect(changes.map(({ kind }) => kind)).toEqual(['confirmed']);
    expect(updated.prices['sqs.request']).toMatchObject({
      usd: '0.0000004',
      asOf: '2026-12-03',
      rateCode: 'SKU.JRTCKXETXF.6YS6EN2CT7',
      source: 'AWS price list, AWSQueueService of us-east-1, published 2026-12-03',
      free: { quantity: 1_000_000 },
    });
    expect(updated.prices['sqs.request']).not.toHaveProperty('uncertain');
    expect(updated.asOf).toBe('2026-12-03');
    expect(file.asOf).toBe('2026-11-22');
  });

  test('changes a price from its day on, and keeps what was before it', async () => {
    const { file, changes } = updatePriceBook(await bookFile(), [
      listed({ amount: usd('0.0000005') }),
    ]);
    const book = parsePriceBook(file);
    const amount = (day: string): bigint => priceIn(bookOn(book, day), 'sqs.request').amount;

    expect(changes).toMatchObject([
      { kind: 'changed', before: usd('0.0000004'), after: usd('0.0000005') },
    ]);
    expect(amount('2026-11-30')).toBe(usd('0.0000004'));
    expect(amount('2026-12-01')).toBe(usd('0.0000005'));
  });

  test('keeps each change of several in turn', async () => {
    const once = updatePriceBook(await bookFile(), [listed({ amount: usd('0.0000005') })]);
    const twice = updatePriceBook(once.file, [
      listed({ amount: usd('0.0000006'), effectiveOn: '2027-03-01', publishedOn: '2027-03-02' }),
    ]);
    const book = parsePriceBook(twice.file);
    const amount = (day: string): bigint => priceIn(bookOn(book, day), 'sqs.request').amount;

    expect(['2026-11-30', '2026-12-01', '2027-02-28', '2027-03-01'].map(amount)).toEqual(
      ['0.0000004', '0.0000005', '0.0000005', '0.0000006'].map(usd),
    );
  });

  test.each([
    ['was only remembered', { uncertain: true }, {}],
    ['was wrong on the days that the list is about', {}, { effectiveOn: '2026-01-01' }],
  ])('corrects a price that %s, for all days', async (_, before, found) => {
    const { file, changes } = updatePriceBook(await bookFile({ 'sqs.request': before }), [
      listed({ amount: usd('0.0000005'), ...found }),
    ]);
    const price = priceIn(bookOn(parsePriceBook(file), '2020-01-01'), 'sqs.request');

    expect(changes.map(({ kind }) => kind)).toEqual(['corrected']);
    expect(price.amount).toBe(usd('0.0000005'));
  });

  test('older than the book changes nothing', async () => {
    const before = await bookFile();
    const { file, changes } = updatePriceBook(before, [
      listed({ amount: usd('0.0000005'), publishedOn: '2026-01-03', effectiveOn: '2026-01-01' }),
    ]);

    expect(changes.map(({ kind }) => kind)).toEqual(['outdated']);
    expect(file).toEqual(before);
  });

  test('adds nothing that the book does not have', async () => {
    const before = await bookFile();
    const { file, changes } = updatePriceBook(before, [
      listed({ id: 'ec2.p5.48xlarge.on-demand', amount: usd('55.04') }),
    ]);

    expect(changes).toEqual([]);
    expect(file).toEqual(before);
  });

  test.each(['0.0000041', '0.00000003', '0.0004'])(
    'is refused where it would change a price out of proportion: $%s',
    async (amount) => {
      const before = await bookFile();
      const updating = () => updatePriceBook(before, [listed({ amount: usd(amount) })]);

      expect(updating).toThrow(InvalidInputError);
      expect(updating).toThrow('sqs.request');
    },
  );
});
