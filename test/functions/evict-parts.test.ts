import { describe, expect, test } from 'vitest';
import { dollarRates } from '#core/costs/charges.ts';
import { InvalidInputError } from '#core/errors.ts';
import { priceBookOf } from '#core/pricing/prices.ts';
import type { EvictionCandidate } from '#core/retention/eviction-candidate.ts';
import { CacheStats } from '#retention/cache-stats.ts';
import { DensityHistogram } from '#retention/density-histogram.ts';
import { deployedEvictSettings } from '#functions/shared/deployed-evict-settings.ts';
import { costOfPass, periodSeconds } from '#retention/due.ts';
import { DAY, NOW } from './eviction-fixture.ts';

const MONTH_DAYS = 730 / 24;

function weighedEntry(changes: Partial<EvictionCandidate> = {}): EvictionCandidate {
  return {
    entryId: 'vid_1',
    state: 'READY',
    createdAt: new Date(NOW).toISOString(),
    hits: 0,
    latentBytes: 1000,
    videoBytes: 1000,
    reuseDepth: 0,
    gpuSeconds: 12,
    stepsRun: 10,
    vectors: 3,
    signature: '0',
    prompt: '0',
    compatibility: 'a',
    ...changes,
  };
}

describe('the census', () => {
  test.each([3, 30, 300])(
    'of a cache that is %i days old tells how often it is queried',
    (days) => {
      const cacheStats = new CacheStats();
      // Four entries a day, each looked up by three vectors.
      for (let time = NOW - days * DAY; time < NOW; time += DAY / 4) {
        cacheStats.add(weighedEntry(), time, 0, NOW);
      }

      expect(cacheStats.queriesPerMonth(NOW)).toBeGreaterThan(12 * MONTH_DAYS * 0.93);
      expect(cacheStats.queriesPerMonth(NOW)).toBeLessThan(12 * MONTH_DAYS * 1.07);
    },
  );

  test('goes on with the queries of the one before, though entries left, and counts none twice', () => {
    const first = new CacheStats();
    for (let day = 60; day > 1; day--) first.add(weighedEntry(), NOW - day * DAY, 0, NOW - DAY);
    const second = CacheStats.after(first.toJSON());

    second.add(weighedEntry(), NOW - 30 * DAY, NOW - DAY, NOW);
    second.add(weighedEntry(), NOW - DAY / 2, NOW - DAY, NOW);

    expect(second.entries).toBe(2);
    expect(second.queriesPerMonth(NOW)).toBeGreaterThan(3 * MONTH_DAYS * 0.93);
    expect(second.queriesPerMonth(NOW)).toBeLessThan(3 * MONTH_DAYS * 1.07);
  });

  test('tells how fast each model is, by the denoiser where that was measured', () => {
    const cacheStats = new CacheStats();
    cacheStats.add(weighedEntry({ denoiseSeconds: 5 }), NOW, 0, NOW);
    cacheStats.add(weighedEntry({ denoiseSeconds: 15 }), NOW, 0, NOW);
    cacheStats.add(weighedEntry({ compatibility: 'b' }), NOW, 0, NOW);
    for (let model = 0; model < 100; model++) {
      cacheStats.add(weighedEntry({ compatibility: `${model}`, stepsRun: 6 }), NOW, 0, NOW);
    }
    const stored = new CacheStats(cacheStats.toJSON());

    expect(stored.secondsPerEvaluation('a')).toBe(1);
    expect(stored.secondsPerEvaluation('b')).toBe(1.2);
    expect(stored.secondsPerEvaluation('99')).toBe(2);
    expect(stored.toJSON().speeds.length).toBeLessThanOrEqual(65);
    expect(new CacheStats().queriesPerMonth(NOW)).toBe(0);
  });
});

describe('the histogram', () => {
  test('says where a budget ends, and nothing where all of it fits', () => {
    const histogram = new DensityHistogram();
    histogram.add(100, 5);
    histogram.add(10, 3);
    histogram.add(1, 2);

    expect(histogram.cutOff(10)).toBeNull();
    expect(histogram.cutOff(9)).toEqual({ bin: DensityHistogram.binOf(1), leftUsd: 1 });
    expect(histogram.cutOff(6)).toEqual({ bin: DensityHistogram.binOf(10), leftUsd: 1 });
    expect(histogram.cutOff(0)).toEqual({ bin: DensityHistogram.binOf(100), leftUsd: 0 });
    const stored = new DensityHistogram(JSON.parse(JSON.stringify(histogram)) as number[]);
    expect(stored.cutOff(6)).toEqual(histogram.cutOff(6));
  });

  test('has a bin for every density, in their order, and one above all for what may not leave', () => {
    const bins = [0, 1e-9, 1, 1.2, 1e6, 1e30, Infinity].map((density) =>
      DensityHistogram.binOf(density),
    );

    expect(bins).toEqual([...bins].sort((one, other) => one - other));
    expect(bins.at(-1)).toBeGreaterThan(bins.at(-2)!);
    expect(DensityHistogram.binOf(1.2)).toBeGreaterThan(DensityHistogram.binOf(1));
  });
});

describe('the period of passes', () => {
  const rates = dollarRates(priceBookOf('us-east-1'));
  const last = (entries: number, rentPerMonthUsd: number, seconds = 10) => ({
    startedAt: NOW,
    seconds,
    cacheStats: new CacheStats().toJSON(),
    rentPerMonthUsd,
    entries,
    phases: 2,
    cutOff: null,
  });

  test('lets passes cost a twentieth of the rent, but a day’s and a month’s bounds', () => {
    // 2 phases x (16 + 1e6 x 500 / 8192) units at $0.125, 200 writes at $0.625 a million, 100 s of 1.73 GB
    const million = last(1e6, 100, 100);
    expect(costOfPass(million, rates)).toBeCloseTo(
      (2 * (16 + 5e8 / 8192) * 0.125 + 200 * 0.625) / 1e6 + ((100 * 1769) / 1024) * 1.66667e-5,
      5,
    );
    expect(periodSeconds(million, rates) / 86_400).toBe(1);
    const cheap = last(1e6, 2, 100);
    expect(periodSeconds(cheap, rates) * 0.05 * 2).toBeCloseTo(
      costOfPass(cheap, rates) * 730 * 3600,
      3,
    );
    expect(periodSeconds(last(10, 1e-6), rates) / 86_400).toBe(30);
    expect(periodSeconds(last(0, 0), rates) / 86_400).toBe(1);
  });
});

describe('the settings of a deployment', () => {
  const variables = {
    FLEXCACHE_STORAGE_CLASS: 'INTELLIGENT_TIERING',
    FLEXCACHE_EMBEDDING_DIMENSIONS: '128',
    FLEXCACHE_CACHE_BUDGET_USD: '12.5',
    FLEXCACHE_MOVE_STORAGE_CLASSES: 'true',
    FLEXCACHE_ONLY_COMPATIBILITY_KEY: '',
    FLEXCACHE_PRICED_INSTANCE_TYPE: 'g6.xlarge',
    FLEXCACHE_PRICED_PURCHASE: 'spot',
    FLEXCACHE_PRICE_REGION: 'us-east-1',
  };

  test('are read from its variables', () => {
    expect(deployedEvictSettings(variables)).toMatchObject({
      book: { region: 'us-east-1' },
      dimensions: 128,
      storageClass: 'INTELLIGENT_TIERING',
      machine: { instanceType: 'g6.xlarge', purchaseOption: 'spot' },
      budgetUsd: 12.5,
      movesStorageClasses: true,
      onlyCompatibilityKey: null,
    });
    const unlimited = { ...variables, FLEXCACHE_CACHE_BUDGET_USD: '' };
    expect(deployedEvictSettings(unlimited).budgetUsd).toBeNull();
  });

  test.each([
    ['FLEXCACHE_STORAGE_CLASS', 'DEEP_ARCHIVE'],
    ['FLEXCACHE_EMBEDDING_DIMENSIONS', '-1'],
    ['FLEXCACHE_CACHE_BUDGET_USD', 'NaN'],
    ['FLEXCACHE_CACHE_BUDGET_USD', '-3'],
    ['FLEXCACHE_PRICED_INSTANCE_TYPE', ''],
    ['FLEXCACHE_PRICED_PURCHASE', 'stolen'],
  ])('are refused by name where %s is %j', (name, value) => {
    const refused = () => deployedEvictSettings({ ...variables, [name]: value });

    expect(refused).toThrow(InvalidInputError);
    expect(refused).toThrow(name);
  });
});
