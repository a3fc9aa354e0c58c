import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { dollarRates } from '#core/costs/charges.ts';
import { DAY_MILLISECONDS } from '#core/day.ts';
import { entryRent, entryRentUsd, type EntryHolding } from '#core/costs/entry-rent.ts';
import { InvalidInputError } from '#core/errors.ts';
import { parseUsd } from '#core/pricing/money.ts';
import { priceBookOf, type PriceBook } from '#core/pricing/prices.ts';
import { STORAGE_CLASSES, type StorageClass } from '#core/costs/storage-class.ts';
import {
  addLatent,
  deletionCost,
  deletionUsd,
  emptyHoldings,
  moveCost,
  moveUsd,
  rentOfHoldings,
  retrievalCost,
  retrievalUsd,
} from '#core/costs/storage-cost.ts';
import { billedBytes, tierOf } from '#core/costs/storage-tier.ts';

const book = priceBookOf('us-east-1');
const rates = dollarRates(book);
const usd = (text: string): bigint => parseUsd(text, 'expected');
const NOW = Date.parse('2026-11-23T00:00:00Z');
const GB = 2 ** 30;
const KB = 1024;

function object(storageClass: StorageClass, bytes: number, unreadDays = 0) {
  const lastReadAt = NOW - unreadDays * DAY_MILLISECONDS;
  return { storageClass, bytes, lastReadAt, storedAt: lastReadAt };
}

describe('the tier of an object', () => {
  test.each<[StorageClass, number, number, string]>([
    ['STANDARD', 1, 400, 'standard'],
    ['STANDARD_IA', 1, 400, 'standard-ia'],
    ['GLACIER_IR', 1, 0, 'glacier-ir'],
    ['INTELLIGENT_TIERING', 128 * KB, 0, 'intelligent-tiering.frequent'],
    ['INTELLIGENT_TIERING', 128 * KB, 29.999, 'intelligent-tiering.frequent'],
    ['INTELLIGENT_TIERING', 128 * KB, 30, 'intelligent-tiering.infrequent'],
    ['INTELLIGENT_TIERING', 128 * KB, 89.999, 'intelligent-tiering.infrequent'],
    ['INTELLIGENT_TIERING', 128 * KB, 90, 'intelligent-tiering.archive-instant'],
    ['INTELLIGENT_TIERING', 128 * KB - 1, 4000, 'intelligent-tiering.frequent'],
  ])('%s of %d bytes, unread for %d days: %s', (storageClass, bytes, days, tier) => {
    expect(tierOf(object(storageClass, bytes, days), NOW)).toBe(tier);
  });

  test('classes for what is seldom read bill 128 KB at least', () => {
    expect(STORAGE_CLASSES.map((storageClass) => billedBytes(1000, storageClass))).toEqual(
      STORAGE_CLASSES.map((storageClass) =>
        storageClass === 'STANDARD' || storageClass === 'INTELLIGENT_TIERING' ? 1000 : 131_072,
      ),
    );
    expect(billedBytes(200_000, 'GLACIER_IR')).toBe(200_000);
  });
});

describe('one read', () => {
  test.each<[StorageClass, number, string]>([
    // $0.0000004 a GET
    ['STANDARD', 4 * 2 ** 20, '0.0000004'],
    ['INTELLIGENT_TIERING', 4 * 2 ** 20, '0.0000004'],
    // $0.000001 + 4 MiB / 1 GiB x $0.01 = 0.000001 + 0.0000390625
    ['STANDARD_IA', 4 * 2 ** 20, '0.0000400625'],
    // $0.00001 + 4 MiB / 1 GiB x $0.03 = 0.00001 + 0.0001171875
    ['GLACIER_IR', 4 * 2 ** 20, '0.0001271875'],
  ])('out of %s', (storageClass, bytes, expected) => {
    const read = object(storageClass, bytes);

    expect(retrievalCost(read, NOW, book)).toBe(usd(expected));
    expect(retrievalUsd(read, NOW, rates)).toBeCloseTo(Number(expected), 12);
  });
});

describe('moving', () => {
  test('costs the request of where it goes', () => {
    const latent = object('INTELLIGENT_TIERING', 4 * 2 ** 20, 100);

    expect(moveCost(latent, 'STANDARD_IA', NOW, book)).toBe(usd('0.00001'));
    expect(moveCost(latent, 'GLACIER_IR', NOW, book)).toBe(usd('0.00002'));
    expect(moveCost(latent, 'STANDARD', NOW, book)).toBe(usd('0.000005'));
    expect(moveCost(latent, 'INTELLIGENT_TIERING', NOW, book)).toBe(0n);
  });

  test('reads what it moves, and pays what is left of the least duration', () => {
    const latent = object('GLACIER_IR', GB, 40);

    // $0.000005 a PUT + 1 GB x $0.03 + 50 of 90 days: 50 x 86400 s / 2628000 s x $0.004
    // = 0.000005 + 0.03 + 1.643835616438... x 0.004 = 0.006575342466
    expect(moveCost(latent, 'STANDARD', NOW, book)).toBe(usd('0.036580342466'));
    expect(moveUsd(latent, 'STANDARD', NOW, rates)).toBeCloseTo(0.036580342466, 11);
  });

  test('and deleting cost nothing once the least duration is over, to the second', () => {
    const at = (milliseconds: number) => NOW + milliseconds - 30 * DAY_MILLISECONDS;
    const latent = (storedAt: number) => ({ ...object('STANDARD_IA', GB), storedAt });

    expect(deletionCost(latent(at(0)), NOW, book)).toBe(0n);
    // one second: 1 / 2628000 x $0.0125
    expect(deletionCost(latent(at(1)), NOW, book)).toBe(usd('0.000000004756'));
    expect(deletionUsd(latent(at(1)), NOW, rates)).toBeCloseTo(4.756e-9, 12);
    expect(deletionCost(object('STANDARD', GB), NOW, book)).toBe(0n);
  });

  test('a small object pays the least size for the rest of its time', () => {
    // 1/8192 GB x $0.0125 = 0.00000152587890625, x 2592000 s / 2628000 s = 0.000001504976
    expect(deletionCost(object('STANDARD_IA', 1), NOW, book)).toBe(usd('0.000001504976'));
  });
});

const ENTRY: EntryHolding = {
  latentBytes: 4 * 2 ** 20,
  storageClass: 'INTELLIGENT_TIERING',
  lastReadAt: NOW,
  vectorBytes: 5 * KB,
  itemBytes: 8 * KB,
  queriesPerMonth: 100_000,
};

describe('the rent of an entry', () => {
  test('is its latent with monitoring, its vectors, what queries read of them, and its record', () => {
    expect(entryRent(ENTRY, NOW, book)).toEqual({
      // 4 MiB / 1 GiB x $0.023 + $0.0000025 = 0.00008984375 + 0.0000025
      latent: usd('0.00009234375'),
      // 5 KiB / 1 GiB x $0.06
      vectors: usd('0.000000286102'),
      // 100,000 x 5 KiB / 1 TiB x $0.004 = 512,000,000 / 1,099,511,627,776 x 0.004
      scan: usd('0.000001862645'),
      // 8 KiB / 1 GiB x ($0.25 + $0.20) = 0.000001907349 + 0.000001525879
      item: usd('0.000003433228'),
      total: usd('0.000097925725'),
    });
  });

  test('falls as the latent goes unread', () => {
    const latent = (days: number): bigint =>
      entryRent({ ...ENTRY, lastReadAt: NOW - days * DAY_MILLISECONDS }, NOW, book).latent;

    // 1/256 GB x $0.0125 + $0.0000025; 1/256 GB x $0.004 + $0.0000025
    expect([latent(0), latent(30), latent(90)]).toEqual(
      ['0.00009234375', '0.000051328125', '0.000018125'].map(usd),
    );
  });

  test('reads a large index for less a byte', () => {
    const scan = (vectorsInIndex: number): bigint =>
      entryRent({ ...ENTRY, vectorsInIndex }, NOW, book).scan;

    expect([scan(100_000), scan(100_001), scan(10_000_001)]).toEqual(
      ['0.000001862645', '0.000000931323', '0.000000186265'].map(usd),
    );
  });

  test('in dollars is the same to a billionth of it', () => {
    const entry = fc.record({
      latentBytes: fc.nat({ max: 2 ** 31 }),
      storageClass: fc.constantFrom(...STORAGE_CLASSES),
      lastReadAt: fc.integer({ min: NOW - 400 * DAY_MILLISECONDS, max: NOW }),
      vectorBytes: fc.integer({ min: 1, max: 100_000 }),
      itemBytes: fc.integer({ min: 1, max: 400_000 }),
      queriesPerMonth: fc.nat({ max: 100_000_000 }),
      vectorsInIndex: fc.nat({ max: 2_000_000_000 }),
    });
    fc.assert(
      fc.property(entry, (holding) => {
        const exact = Number(entryRent(holding, NOW, book).total) / 1e12;
        const approximate = entryRentUsd(holding, NOW, rates).total;
        expect(Math.abs(approximate - exact)).toBeLessThan(4e-12 + exact * 1e-9);
      }),
    );
  });
});

describe('the rent of all holdings', () => {
  test('is the sum of what its entries rent for, but for their scanning', () => {
    const holdings = emptyHoldings();
    let expected = 0n;
    for (const storageClass of STORAGE_CLASSES) {
      for (const days of [0, 45, 200]) {
        // Whole GB, so that no rounding is between the two.
        const latent = object(storageClass, GB, days);
        addLatent(holdings, latent, NOW);
        holdings.vectorBytes += GB;
        holdings.itemBytes += GB;
        const { scan, total } = entryRent(
          { ...ENTRY, ...latent, latentBytes: GB, vectorBytes: GB, itemBytes: GB },
          NOW,
          book,
        );
        expected += total - scan;
      }
    }

    expect(rentOfHoldings(holdings, book).total).toBe(expected);
  });

  test('counts each tier, with the least size where there is one', () => {
    const holdings = emptyHoldings();
    addLatent(holdings, object('GLACIER_IR', 1000), NOW);
    addLatent(holdings, object('INTELLIGENT_TIERING', 1000), NOW);
    addLatent(holdings, object('INTELLIGENT_TIERING', 200_000, 31), NOW);

    expect(holdings.latents).toEqual({
      'glacier-ir': { count: 1, bytes: 1000, billedBytes: 131_072 },
      'intelligent-tiering.frequent': { count: 1, bytes: 1000, billedBytes: 1000 },
      'intelligent-tiering.infrequent': { count: 1, bytes: 200_000, billedBytes: 200_000 },
    });
    expect(holdings.monitoredLatents).toBe(1);
  });

  test('of nothing is nothing', () => {
    expect(rentOfHoldings(emptyHoldings(), book)).toEqual({ total: 0n, items: [] });
  });
});

describe('what cannot be is refused by name', () => {
  test.each<[string, Partial<EntryHolding>]>([
    ['bytes', { latentBytes: -1 }],
    ['bytes', { latentBytes: NaN }],
    ['bytes', { latentBytes: 2 ** 60 }],
    ['lastReadAt', { lastReadAt: NaN }],
    ['s3vectors.storage', { vectorBytes: -1 }],
    ['dynamodb.storage', { itemBytes: NaN }],
    ['s3vectors.query-data', { queriesPerMonth: -1 }],
    ['s3vectors.query-data', { queriesPerMonth: Infinity }],
    ['vectorsInIndex', { vectorsInIndex: NaN }],
    ['vectorsInIndex', { vectorsInIndex: -1 }],
  ])('%s of %j', (field, change) => {
    for (const asking of [
      () => entryRent({ ...ENTRY, ...change }, NOW, book),
      () => entryRentUsd({ ...ENTRY, ...change }, NOW, rates),
    ]) {
      expect(asking).toThrow(InvalidInputError);
      expect(asking).toThrow(field);
    }
  });

  test('when an object was stored', () => {
    const latent = { ...object('GLACIER_IR', GB), storedAt: NaN };

    expect(() => deletionCost(latent, NOW, book)).toThrow(/storedAt/);
    expect(() => moveUsd(latent, 'STANDARD', NOW, rates)).toThrow(/storedAt/);
  });

  test('holdings below nothing', () => {
    expect(() => rentOfHoldings({ ...emptyHoldings(), videoBytes: -1 }, book)).toThrow(
      /s3\.storage\.standard/,
    );
  });

  test('a price that is not in the book', () => {
    const prices = new Map(book.prices);
    prices.delete('s3.monitored-object');
    const poorer: PriceBook = { ...book, prices };

    expect(() => entryRent(ENTRY, NOW, poorer)).toThrow(
      'there is no price for s3.monitored-object',
    );
    expect(() => entryRentUsd(ENTRY, NOW, dollarRates(poorer))).toThrow('s3.monitored-object');
  });
});
