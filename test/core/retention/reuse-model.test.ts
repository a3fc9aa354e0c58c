import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InvalidInputError } from '#core/errors.ts';
import { decayWeight, HALF_LIFE_MILLISECONDS } from '#core/retention/decay.ts';
import { classBeforeHit, reuseClassOf, type ReuseStats } from '#core/retention/reuse-stats.ts';
import {
  AGE_BINS,
  ageBinOf,
  classOfFresh,
  classOfHit,
  nameOfClass,
  REUSE_CLASSES,
  startOfBin,
} from '#core/retention/reuse-class.ts';
import { ReuseModel } from '#core/retention/reuse-model.ts';
import { createRandomSource } from '#core/random.ts';
import { DAY, reuseStats, hitAt, NOW } from './fixtures.ts';

const FRESH = classOfFresh(12);

describe('the learned rate', () => {
  it('is hits over the time in which they could have come, and one over the age at first', () => {
    const model = new ReuseModel(NOW);
    expect(model.rateAt(FRESH, 5000)).toBe(1 / 5000);

    model.addWait(FRESH, 0, 10_000, 20);
    model.addHit(FRESH, 5000, 4, 3);

    const bin = ageBinOf(5000);
    const waited = 20 * (startOfBin(bin + 1) - startOfBin(bin));
    expect(model.rateAt(FRESH, 5000)).toBeCloseTo((1 + 3) / (5000 + waited), 12);
  });

  it('counts a wait in every bin that it passes through', () => {
    const model = new ReuseModel(NOW);
    model.addWait(FRESH, 100, 1e9);

    const { waited } = model.toJSON();
    expect(waited.reduce((sum, seconds) => sum + seconds, 0)).toBeCloseTo(1e9 - 100, 3);
    expect(waited[FRESH * AGE_BINS + ageBinOf(100)]).toBe(startOfBin(ageBinOf(100) + 1) - 100);
  });

  it('lets what it saw count half after a half-life', () => {
    const model = new ReuseModel(NOW);
    model.addHit(FRESH, 500, 4, 8);
    model.advanceTo(NOW + HALF_LIFE_MILLISECONDS);
    model.advanceTo(NOW);

    expect(model.toJSON().hits[FRESH * AGE_BINS + ageBinOf(500)]).toBe(4);
    expect(model.asOf).toBe(NOW + HALF_LIFE_MILLISECONDS);
  });

  it('is the same whether segments are learned together or apart', () => {
    const seen = [3, 17, 40].map((days) => reuseStats({ createdAt: NOW - days * DAY }));
    const [together, apart] = [new ReuseModel(NOW - DAY), new ReuseModel(NOW - DAY)];
    together.advanceTo(NOW);
    for (const entry of seen) {
      together.observe(entry, NOW - DAY, NOW);
      const segment = new ReuseModel(NOW);
      segment.observe(entry, NOW - DAY, NOW);
      apart.add(segment);
    }

    const [one, other] = [together.toJSON(), apart.toJSON()];
    expect(other.hits).toEqual(one.hits);
    for (const [index, seconds] of one.waited.entries()) {
      expect(other.waited[index]).toBeCloseTo(seconds, 6);
    }
  });
});

describe('the rate that an entry is kept for', () => {
  it('is that of its age while hits only become rarer', () => {
    const model = new ReuseModel(NOW);
    for (const age of [0, 1, 59, 60, 5000, 86_400, 1e7, 1e10]) {
      expect(model.bestRateFrom(FRESH, age)).toBeCloseTo(model.rateAt(FRESH, age), 12);
    }
  });

  it('is never below that of its age, and counts hits that come after a wait', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(10_000_000), fc.nat(300)), { maxLength: 6 }),
        fc.nat(10_000_000),
        (hits, age) => {
          const model = new ReuseModel(NOW);
          model.addWait(FRESH, 0, 20_000_000, 50);
          for (const [at, times] of hits) model.addHit(FRESH, at, 4, times);
          const best = model.bestRateFrom(FRESH, age);
          expect(best).toBeGreaterThanOrEqual(model.rateAt(FRESH, age) * 0.999_999);
          expect(best).toBeLessThan(1 / 59 + 300 * 6);
        },
      ),
    );
    const weekly = new ReuseModel(NOW);
    weekly.addWait(FRESH, 0, 7 * 86_400, 1000);
    weekly.addHit(FRESH, 7 * 86_400, 4, 1000);
    const perWeek = 1 / (7 * 86_400);
    expect(weekly.bestRateFrom(FRESH, 86_400)).toBeGreaterThan(0.5 * perWeek);
    expect(weekly.rateAt(FRESH, 86_400)).toBeLessThan(0.02 * perWeek);
  });

  it('stays that of the beginning at ages that no entry has lived to', () => {
    const model = new ReuseModel(NOW);
    model.addWait(FRESH, 0, startOfBin(10), 1000);

    expect(model.rateAt(FRESH, startOfBin(9))).toBeLessThan(0.01 / startOfBin(10));
    expect(model.bestRateFrom(FRESH, startOfBin(10) - 60)).toBeGreaterThan(0.5 / startOfBin(10));
  });
});

describe('what passes see', () => {
  it('is all of the time since the pass before, once', () => {
    const model = new ReuseModel(NOW);
    const entry = reuseStats({ createdAt: NOW - 10 * DAY });
    for (let day = 10; day > 0; day--) model.observe(entry, NOW - day * DAY, NOW - (day - 1) * DAY);

    const { waited, hits } = model.toJSON();
    expect(waited.reduce((sum, seconds) => sum + seconds, 0)).toBeCloseTo(10 * 86_400, 6);
    expect(hits.every((count) => count === 0)).toBe(true);
  });

  it('tells the class before a hit from that after it', () => {
    const twice = hitAt([NOW - 2 * DAY, NOW - DAY], 4);

    expect(classBeforeHit(hitAt([NOW], 4))).toBe(FRESH);
    expect(classBeforeHit(twice)).toBe(classOfHit(1, 12));
    expect(reuseClassOf(twice)).toBe(classOfHit(1 + 2 ** (-1 / 14), 12));
  });

  it.each([0.2, 1, 5, 20])(
    'learns how often entries are hit that are hit %d times a day, by daily passes',
    (hitsPerDay) => {
      const random = createRandomSource(7, `poisson ${hitsPerDay}`);
      const learned = new ReuseModel(NOW);
      const exact = { hits: 0, seconds: 0 };
      for (let entry = 0; entry < 400; entry++) {
        for (const { state, since, now, hits } of historyOf(hitsPerDay, 20, random)) {
          learned.observe(state, since, now);
          exact.hits += hits;
          exact.seconds += (now - since) / 1000;
        }
      }
      const { hits, waited } = learned.toJSON();
      const sum = (all: number[]): number => all.reduce((total, value) => total + value, 0);
      const rate = sum(hits) / sum(waited);
      const measured = exact.hits / exact.seconds;

      expect(rate / measured).toBeGreaterThan(0.8);
      expect(rate / measured).toBeLessThan(1.2);
    },
  );
});

describe('a stored model', () => {
  it('is read as it was written', () => {
    const model = new ReuseModel(NOW);
    model.observe(hitAt([NOW - 3 * DAY, NOW - DAY], 4), NOW - 2 * DAY, NOW);
    const stored = JSON.parse(JSON.stringify(model)) as unknown;

    expect(ReuseModel.from(stored).toJSON()).toEqual(model.toJSON());
  });

  it.each([
    null,
    {},
    { ...new ReuseModel(NOW).toJSON(), format: 'flexcache-reuse/0' },
    { ...new ReuseModel(NOW).toJSON(), asOf: 'yesterday' },
    { ...new ReuseModel(NOW).toJSON(), hits: [1, 2] },
    {
      ...new ReuseModel(NOW).toJSON(),
      waited: Array.from({ length: REUSE_CLASSES * AGE_BINS }, () => -1),
    },
  ])('is refused when it is something else (%#)', (stored) => {
    expect(() => ReuseModel.from(stored)).toThrow(InvalidInputError);
  });
});

describe('a record of before', () => {
  it('is read without its class of entries that were no donors', () => {
    const model = new ReuseModel(NOW);
    model.addHit(FRESH, 5000, 4);
    const record = model.toJSON();
    const more = Array.from({ length: AGE_BINS }, () => 7);
    const longer = {
      ...record,
      hits: [...record.hits, ...more],
      waited: [...record.waited, ...more],
      credits: [...record.credits, ...more],
    };
    expect(ReuseModel.from(longer).toJSON()).toEqual(record);
  });
});

describe('classes of reuse', () => {
  it('are told by how new an entry was and how often it was hit', () => {
    expect(classOfFresh(3)).not.toBe(classOfFresh(12));
    expect(classOfHit(1, 12)).toBe(classOfHit(1.4, 12));
    expect(classOfHit(1, 12)).not.toBe(classOfHit(2, 12));
  });

  it('have names', () => {
    expect(nameOfClass(classOfHit(2, 8))).toBe('hit 1.5-3 times, made in about 8 evaluations');
    expect(nameOfClass(classOfFresh(1))).toBe('never hit, made in 1 evaluation');
  });

  it('put every age into the bin that it lies in', () => {
    for (let bin = 0; bin < AGE_BINS - 1; bin++) {
      expect(ageBinOf(startOfBin(bin))).toBe(bin);
      expect(ageBinOf(startOfBin(bin + 1) - 0.001)).toBe(bin);
    }
    expect(ageBinOf(1e12)).toBe(AGE_BINS - 1);
  });
});

interface Seen {
  state: ReuseStats;
  since: number;
  now: number;
  hits: number;
}

/** What daily passes see of an entry whose hits come at random. */
function* historyOf(
  hitsPerDay: number,
  days: number,
  random: { nextUint32(): number },
): Iterable<Seen> {
  const createdAt = NOW - days * DAY;
  let state = reuseStats({ createdAt });
  const wait = (): number => (-Math.log((random.nextUint32() + 1) / 2 ** 32) * DAY) / hitsPerDay;
  let next = createdAt + wait();
  for (let day = 1; day <= days; day++) {
    const now = createdAt + day * DAY;
    let hits = 0;
    for (; next < now; next += wait(), hits++) {
      state = {
        ...state,
        previousHitAt: state.lastHitAt,
        lastHitAt: next,
        hits: state.hits + 1,
        decayedHits: state.decayedHits + decayWeight(next),
      };
    }
    yield { state, since: now - DAY, now, hits };
  }
}
