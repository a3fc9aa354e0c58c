import { dollarRates } from '#core/costs/charges.ts';
import type { PolicyContext } from '#core/retention/estimate-value.ts';
import { decayWeight } from '#core/retention/decay.ts';
import type { ReuseStats } from '#core/retention/reuse-stats.ts';
import { ReuseModel } from '#core/retention/reuse-model.ts';
import { priceBookOf } from '#core/pricing/prices.ts';

export const NOW = Date.UTC(2026, 10, 22, 12);
export const DAY = 24 * 3_600_000;

/** Never hit, a day old. */
export function reuseStats(overrides: Partial<ReuseStats> = {}): ReuseStats {
  return {
    createdAt: NOW - DAY,
    lastHitAt: null,
    previousHitAt: null,
    hits: 0,
    decayedHits: 0,
    decayedCredit: 0,
    neighbours: 0,
    reuseDepth: 0,
    stepsRun: 12,
    secondsPerEvaluation: 2,
    latentBytes: 1_048_320,
    storageClass: 'STANDARD',
    vectorBytes: 2112,
    itemBytes: 4096,
    isPinned: false,
    ...overrides,
  };
}

/** An entry that was hit at these times, with so much credit each. */
export function hitAt(
  times: readonly number[],
  credit: number,
  overrides: Partial<ReuseStats> = {},
): ReuseStats {
  const weight = times.reduce((sum, time) => sum + decayWeight(time), 0);
  return reuseStats({
    hits: times.length,
    lastHitAt: times.at(-1) ?? null,
    previousHitAt: times.at(-2) ?? null,
    decayedHits: weight,
    decayedCredit: credit * weight,
    ...overrides,
  });
}

/** Knows nothing yet. */
export function policyContext(overrides: Partial<PolicyContext> = {}): PolicyContext {
  return {
    now: NOW,
    model: new ReuseModel(NOW),
    rates: dollarRates(priceBookOf('us-east-1')),
    dollarsPerGpuSecond: 0.8048 / 3600,
    queriesPerMonth: 30_000,
    vectorsInIndex: 0,
    ...overrides,
  };
}
