import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InvalidInputError } from '#core/errors.ts';
import {
  estimateValue,
  SECONDS_PER_MONTH,
  type PolicyContext,
} from '#core/retention/estimate-value.ts';
import type { ReuseStats } from '#core/retention/reuse-stats.ts';
import { ReuseModel } from '#core/retention/reuse-model.ts';
import { reuseClassOf } from '#core/retention/reuse-stats.ts';
import { DAY, reuseStats, hitAt, NOW, policyContext } from './fixtures.ts';

/** What a pass may meet: any age, any record of hits. */
const entries = fc
  .record({
    age: fc.integer({ min: 0, max: 700 }),
    gaps: fc.array(fc.integer({ min: 1, max: 90 }), { maxLength: 5 }),
    credit: fc.double({ min: 0, max: 12, noNaN: true }),
    latentBytes: fc.integer({ min: 1, max: 1e8 }),
    generation: fc.integer({ min: 0, max: 10 }),
    stepsRun: fc.integer({ min: 1, max: 50 }),
  })
  .map(({ age, gaps, credit, ...rest }) => {
    const total = gaps.reduce((sum, gap) => sum + gap, 0);
    let time = NOW - (age + total) * DAY;
    const createdAt = time;
    const times = gaps.map((gap) => (time += gap * DAY));
    return hitAt(times, credit, { createdAt, ...rest });
  });

/** A model that has seen a history. */
const models = fc.array(fc.tuple(entries, entries), { maxLength: 10 }).map((seen) => {
  const model = new ReuseModel(NOW);
  for (const [one, other] of seen) {
    model.observe(one, NOW - 60 * DAY, NOW);
    model.observe(other, NOW - DAY, NOW);
  }
  return model;
});

describe('appraise', () => {
  it('keeps what nothing is known of for exactly its break-even time', () => {
    const context = policyContext();
    const young = estimateValue(reuseStats(), context);
    const createdAt = NOW - Math.floor(young.breakEvenSeconds) * 1000;

    expect(young.margin).toBe(12);
    expect(young.dollarsPerHit).toBeCloseTo(12 * 2 * (0.8048 / 3600), 15);
    expect(young.breakEvenSeconds).toBeCloseTo(
      (young.dollarsPerHit / young.rentPerMonth) * SECONDS_PER_MONTH,
      3,
    );
    expect(estimateValue(reuseStats({ createdAt: createdAt + 1000 }), context).verdict).toBe(
      'keep',
    );
    expect(estimateValue(reuseStats({ createdAt: createdAt - 1000 }), context).verdict).toBe(
      'rent',
    );
  });

  it('believes what it has seen over the break-even rule', () => {
    const model = new ReuseModel(NOW);
    const waiting = reuseStats({ createdAt: NOW - 20 * DAY });
    const before = estimateValue(waiting, policyContext({ model })).rate;
    const old = reuseStats({ createdAt: NOW - 4 * 365 * DAY });
    for (let seen = 0; seen < 100; seen++) model.observe(old, old.createdAt, NOW);
    const unhit = estimateValue(waiting, policyContext({ model })).rate;
    for (let seen = 0; seen < 100; seen++) model.addHit(reuseClassOf(waiting), 20 * 86_400, 5);
    const hit = estimateValue(waiting, policyContext({ model }));

    expect(unhit).toBeLessThan(before / 10);
    expect(hit.rate).toBeGreaterThan(unhit * 50);
    expect(hit.margin).toBeGreaterThan(4.9);
    expect(hit.margin).toBeLessThan(5.3);
  });

  it('is worth more the more its hits saved, whatever was learned', () => {
    fc.assert(
      fc.property(
        entries,
        models,
        fc.double({ min: 1, max: 3, noNaN: true }),
        (entry, model, more) => {
          const context = policyContext({ model });
          const better = { ...entry, decayedCredit: entry.decayedCredit * more };

          expect(estimateValue(better, context).valuePerMonth).toBeGreaterThanOrEqual(
            estimateValue(entry, context).valuePerMonth,
          );
        },
      ),
    );
  });

  it('is worth less for each dollar the more bytes it has', () => {
    fc.assert(
      fc.property(entries, models, fc.integer({ min: 1, max: 1e8 }), (entry, model, more) => {
        const context = policyContext({ model });
        const larger = { ...entry, latentBytes: entry.latentBytes + more };

        expect(estimateValue(larger, context).density).toBeLessThanOrEqual(
          estimateValue(entry, context).density,
        );
      }),
    );
  });

  it('saves in proportion to the price of the GPU', () => {
    fc.assert(
      fc.property(
        entries,
        models,
        fc.double({ min: 0.01, max: 100, noNaN: true }),
        (entry, model, times) => {
          const context = policyContext({ model });
          const dearer = { ...context, dollarsPerGpuSecond: context.dollarsPerGpuSecond * times };
          const [one, other] = [estimateValue(entry, context), estimateValue(entry, dearer)];

          expect(other.valuePerMonth).toBeCloseTo(one.valuePerMonth * times, 9);
          expect(other.rentPerMonth).toBe(one.rentPerMonth);
        },
      ),
    );
  });

  it('costs what storage and queries cost', () => {
    const context = policyContext();
    const one = estimateValue(reuseStats(), context);
    const busier = estimateValue(reuseStats(), { ...context, queriesPerMonth: 60_000 });

    expect(busier.rent.scan).toBeCloseTo(2 * one.rent.scan, 15);
    expect(busier.rent.latent).toBe(one.rent.latent);
    expect(one.rentPerMonth).toBeCloseTo(
      one.rent.latent + one.rent.vectors + one.rent.scan + one.rent.item,
      15,
    );
  });

  it('gives an entry whose hits another one would have served as well next to no value', () => {
    const times = Array.from({ length: 200 }, (_, index) => NOW - (200 - index) * 3_600_000);
    const [twin, only] = [0, 9].map((credit) =>
      estimateValue(hitAt(times, credit), policyContext()),
    );

    expect(twin!.margin).toBeLessThan(0.2);
    expect(only!.margin).toBeGreaterThan(8.9);
    expect(twin!.rate).toBe(only!.rate);
  });

  it('never evicts what is pinned', () => {
    const old = { createdAt: NOW - 4000 * DAY, isPinned: true, latentBytes: 1e12 };

    expect(estimateValue(reuseStats(old), policyContext()).verdict).toBe('pinned');
    expect(estimateValue(reuseStats({ ...old, isPinned: false }), policyContext()).verdict).toBe(
      'rent',
    );
  });

  it('takes a hit from a clock that runs ahead for one of now', () => {
    const ahead = hitAt([NOW + 5000], 3);

    expect(estimateValue(ahead, policyContext()).age).toBe(0);
  });

  it('prefers full generations: the further a donor is from one, the less its hits count', () => {
    const values = [0, 1, 9].map(
      (reuseDepth) => estimateValue(reuseStats({ reuseDepth }), policyContext()).valuePerMonth,
    );

    expect(values[1]! / values[0]!).toBeCloseTo(1 / 2, 9);
    expect(values[2]! / values[0]!).toBeCloseTo(1 / 10, 9);
  });

  it('says the same in every time zone', () => {
    const zone = process.env['TZ'];
    const model = new ReuseModel(NOW);
    const entry = hitAt([NOW - 40 * DAY, NOW - 3 * DAY], 4, { createdAt: NOW - 90 * DAY });
    model.observe(entry, NOW - 30 * DAY, NOW);
    const inZone = (name: string): unknown => {
      process.env['TZ'] = name;
      return estimateValue(entry, policyContext({ model }));
    };
    try {
      const [utc, chatham] = [inZone('UTC'), inZone('Pacific/Chatham')];

      expect(chatham).toEqual(utc);
    } finally {
      if (zone === undefined) delete process.env['TZ'];
      else process.env['TZ'] = zone;
    }
  });

  it.each([
    ['hits', -1],
    ['decayedHits', Number.NaN],
    ['decayedCredit', -0.1],
    ['latentBytes', Infinity],
    ['stepsRun', -3],
    ['secondsPerEvaluation', Number.NaN],
    ['createdAt', Number.NaN],
    ['lastHitAt', Infinity],
    ['previousHitAt', -Infinity],
  ] satisfies [keyof ReuseStats, number][])('refuses an entry whose %s is %d', (field, value) => {
    const attempt = () => estimateValue(reuseStats({ [field]: value }), policyContext());

    expect(attempt).toThrow(InvalidInputError);
    expect(attempt).toThrow(`${field} of an entry is ${value}`);
  });

  it.each([
    ['dollarsPerGpuSecond', -1],
    ['queriesPerMonth', Number.NaN],
    ['now', Number.NaN],
  ] satisfies [keyof PolicyContext, number][])('refuses %s %d', (field, value) => {
    const attempt = () => estimateValue(reuseStats(), policyContext({ [field]: value }));

    expect(attempt).toThrow(InvalidInputError);
  });
});
