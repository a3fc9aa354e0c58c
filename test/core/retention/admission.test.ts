import { describe, expect, test } from 'vitest';
import { dollarRates } from '#core/costs/charges.ts';
import { addsLittle, type Newcomer } from '#core/retention/admission.ts';
import type { PolicyContext } from '#core/retention/estimate-value.ts';
import type { ReuseStats } from '#core/retention/reuse-stats.ts';
import { classOfFresh } from '#core/retention/reuse-class.ts';
import { ReuseModel } from '#core/retention/reuse-model.ts';
import { priceBookOf } from '#core/pricing/prices.ts';
import { codeOf } from '../code-of.ts';

const NOW = Date.parse('2026-11-22T00:00:00Z');
const FULL_STEPS = 12;

/** Of a video that was made in a quarter of the steps; an evaluation takes ten microseconds. */
const STATE: ReuseStats = {
  createdAt: NOW,
  lastHitAt: null,
  previousHitAt: null,
  hits: 0,
  decayedHits: 0,
  decayedCredit: 0,
  neighbours: 1,
  reuseDepth: 1,
  stepsRun: 3,
  secondsPerEvaluation: 1e-5,
  latentBytes: 100_000,
  storageClass: 'INTELLIGENT_TIERING',
  vectorBytes: 2000,
  itemBytes: 4000,
  isPinned: false,
};

const VECTORS = { whole: [1, 0], object: [1, 0], background: null };

/** A unit vector at this cosine of the first axis. */
const at = (cosine: number): number[] => [cosine, Math.sqrt(1 - cosine ** 2)];

function context(model = new ReuseModel(NOW)): PolicyContext {
  return {
    now: NOW,
    model,
    rates: dollarRates(priceBookOf('us-east-1')),
    dollarsPerGpuSecond: 0.8 / 3600,
    queriesPerMonth: 1000,
    vectorsInIndex: 1000,
  };
}

function newcomer(changes: Partial<Newcomer> = {}, state: Partial<ReuseStats> = {}): Newcomer {
  return {
    state: { ...STATE, ...state },
    vectors: VECTORS,
    fullSteps: FULL_STEPS,
    donor: { vectors: VECTORS },
    ...changes,
  };
}

describe('an entry is refused', () => {
  test('where a deep hit is near its donor, and exact answers would save less than storing costs', () => {
    expect(addsLittle(newcomer(), context())).toBe(true);
  });

  test('where entries like it were kept for long and not hit, though each hit would save', () => {
    const learned = new ReuseModel(NOW);
    learned.addWait(classOfFresh(3), 0, 90 * 24 * 3600, 1_000_000);
    const worthwhile = newcomer({}, { secondsPerEvaluation: 0.1 });

    expect(addsLittle(worthwhile, context())).toBe(false);
    expect(addsLittle(worthwhile, context(learned))).toBe(true);
  });
});

describe('an entry is stored', () => {
  test.each<[string, Newcomer]>([
    ['that was started from nothing, or from parts', newcomer({ donor: null })],
    ['that was made in more than half of the steps', newcomer({}, { stepsRun: 7 })],
    [
      'that differs from its donor in one part',
      newcomer({ donor: { vectors: { ...VECTORS, object: at(0.99) } } }),
    ],
    [
      'that has a part which its donor lacks',
      newcomer({ donor: { vectors: { ...VECTORS, object: null } } }),
    ],
    ['of which an evaluation is dear', newcomer({}, { secondsPerEvaluation: 2 })],
  ])('%s', (_, made) => {
    expect(addsLittle(made, context())).toBe(false);
  });
});

test('what donors may differ in and be equally good is near', () => {
  const near = newcomer({ donor: { vectors: { ...VECTORS, whole: at(0.996) } } });

  expect(addsLittle(near, context())).toBe(true);
});

test('what cannot have been measured is refused by name', () => {
  const made = newcomer({}, { secondsPerEvaluation: NaN });

  expect(codeOf(() => addsLittle(made, context()))).toBe('invalid_input');
});
