import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InvalidInputError } from '#core/errors.ts';
import { decayedTo, decayWeight, HALF_LIFE_MILLISECONDS, LANDMARK } from '#core/retention/decay.ts';

const YEAR = 365 * 24 * 3_600_000;
const times = fc.integer({ min: LANDMARK - 5 * YEAR, max: LANDMARK + 10 * YEAR });

describe('decayed sums', () => {
  it('count what happens now once and what is a half-life old half', () => {
    const sum = 3 * decayWeight(LANDMARK) + 2 * decayWeight(LANDMARK + HALF_LIFE_MILLISECONDS);

    expect(decayedTo(sum, LANDMARK + HALF_LIFE_MILLISECONDS)).toBe(3 / 2 + 2);
  });

  it('are what adding up decayed events one by one gives', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({ time: times, amount: fc.double({ min: 0.01, max: 50, noNaN: true }) }),
          {
            minLength: 1,
            maxLength: 30,
          },
        ),
        (events) => {
          const now = Math.max(...events.map(({ time }) => time));
          const sum = events.reduce((all, { time, amount }) => all + amount * decayWeight(time), 0);
          const direct = events.reduce(
            (all, { time, amount }) => all + amount * 2 ** (-(now - time) / HALF_LIFE_MILLISECONDS),
            0,
          );

          expect(decayedTo(sum, now) / direct).toBeCloseTo(1, 9);
        },
      ),
    );
  });

  it('stay within what DynamoDB keeps for 15 years either way', () => {
    expect(decayWeight(LANDMARK + 15 * YEAR)).toBeLessThan(1e125);
    expect(decayWeight(LANDMARK - 15 * YEAR)).toBeGreaterThan(1e-130);
  });

  it.each([Number.NaN, Infinity, -Infinity, LANDMARK + 16 * YEAR, LANDMARK - 16 * YEAR])(
    'refuse the time %d',
    (time) => {
      expect(() => decayWeight(time)).toThrow(InvalidInputError);
    },
  );

  it.each([-1, Number.NaN, Infinity])('refuse the sum %d', (sum) => {
    expect(() => decayedTo(sum, LANDMARK)).toThrow(/decayed sum .* is not a number from 0 on/);
  });
});
