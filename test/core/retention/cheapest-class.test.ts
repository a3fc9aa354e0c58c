import { describe, expect, test } from 'vitest';
import { dollarRates } from '#core/costs/charges.ts';
import type { PolicyContext } from '#core/retention/estimate-value.ts';
import { betterClass } from '#core/retention/cheapest-class.ts';
import type { ReuseStats } from '#core/retention/reuse-stats.ts';
import { ReuseModel } from '#core/retention/reuse-model.ts';
import { priceBookOf } from '#core/pricing/prices.ts';
import type { StorageClass } from '#core/costs/storage-class.ts';

const NOW = Date.UTC(2026, 6, 1);
const DAY = 24 * 3_600_000;
const MB = 1024 * 1024;

const CONTEXT: PolicyContext = {
  now: NOW,
  model: new ReuseModel(NOW),
  rates: dollarRates(priceBookOf('us-east-1')),
  dollarsPerGpuSecond: 0.0002,
  queriesPerMonth: 0,
  vectorsInIndex: 0,
};

/** Where a latent should lie that is hit so often. */
function choice(
  storageClass: StorageClass,
  { bytes = 100 * MB, hitsPerMonth = 0.1, ageDays = 40 } = {},
): StorageClass | null {
  const createdAt = NOW - ageDays * DAY;
  const entry: ReuseStats = {
    createdAt,
    lastHitAt: null,
    previousHitAt: null,
    hits: 0,
    decayedHits: 0,
    decayedCredit: 0,
    neighbours: 0,
    reuseDepth: 0,
    stepsRun: 50,
    secondsPerEvaluation: 2,
    latentBytes: bytes,
    storageClass,
    vectorBytes: 1000,
    itemBytes: 3000,
    isPinned: false,
  };
  return betterClass(entry, { rate: hitsPerMonth }, createdAt, CONTEXT);
}

describe('betterClass', () => {
  // 100 MB a month: Standard $0.0022, Glacier Instant Retrieval $0.0004 and $0.003 for each read. In ten
  // months with one read that is $0.022 against $0.007; in one with four $0.0022 against $0.0124.
  test('moves what is read once in ten months, and leaves what is read weekly', () => {
    expect(choice('STANDARD')).toBe('GLACIER_IR');
    expect(choice('STANDARD', { hitsPerMonth: 4 })).toBeNull();
  });

  test('leaves small latents: the request to move them costs more than they do', () => {
    expect(choice('STANDARD', { bytes: 20_000 })).toBeNull();
    expect(choice('STANDARD', { bytes: 20_000, hitsPerMonth: 0.01 })).toBeNull();
  });

  test('brings back what is read often, once its least duration is over', () => {
    expect(choice('GLACIER_IR', { hitsPerMonth: 20, ageDays: 100 })).toBe('STANDARD');
    expect(choice('GLACIER_IR', { hitsPerMonth: 0.1, ageDays: 100 })).toBeNull();
  });

  test('stays where it was moved: the choice does not swing', () => {
    for (const hitsPerMonth of [0.01, 0.03, 0.1, 0.3, 1, 3, 10]) {
      for (const bytes of [20_000, 200_000, MB, 100 * MB]) {
        const first = choice('STANDARD', { bytes, hitsPerMonth, ageDays: 0 });
        if (first === null) continue;
        expect(choice(first, { bytes, hitsPerMonth, ageDays: 0 })).toBeNull();
      }
    }
  });
});
