import { describe, expect, test } from 'vitest';
import { areEquallyGood, signatureOf } from '#core/retention/signature.ts';
import { EQUALLY_GOOD_MARGIN } from '#core/planning/plan.ts';
import { createRandomSource } from '#core/random.ts';

const partition = { compatibilityKey: 'c', scope: 'tenant', tenant: 't' } as const;

function unit(vector: number[]): number[] {
  const length = Math.hypot(...vector);
  return vector.map((value) => value / length);
}

function randomUnit(seed: number, dimensions = 128): number[] {
  const random = createRandomSource(seed, 'likeness test');
  return unit(Array.from({ length: dimensions }, () => random.nextUint32() / 2 ** 31 - 1));
}

/** At this distance from a unit vector, in a random direction. */
function near(vector: number[], distance: number, seed: number): number[] {
  const direction = randomUnit(seed, vector.length);
  return unit(vector.map((value, index) => value + distance * direction[index]!));
}

describe('likenessOf', () => {
  test('nearly every vector that is equally good has the same one, and no other has', () => {
    let same = 0;
    const seen = new Set<string>();
    for (let seed = 0; seed < 300; seed++) {
      const vector = randomUnit(seed);
      const signature = signatureOf(partition, vector);
      seen.add(signature);
      if (signatureOf(partition, near(vector, EQUALLY_GOOD_MARGIN, 1000 + seed)) === signature)
        same++;
    }

    expect(same).toBeGreaterThan(300 * 0.9);
    expect(seen.size).toBe(300);
  });

  test('is another one in another partition, whose tenant counts only where it is not shared', () => {
    const vector = randomUnit(1);
    const shared = { ...partition, scope: 'shared' } as const;

    const likenesses = [
      signatureOf(partition, vector),
      signatureOf({ ...partition, tenant: 'other' }, vector),
      signatureOf({ ...partition, compatibilityKey: 'other' }, vector),
      signatureOf(shared, vector),
    ];

    expect(new Set(likenesses).size).toBe(4);
    expect(signatureOf({ ...shared, tenant: 'other' }, vector)).toBe(likenesses[3]);
  });
});

describe('areEquallyGood', () => {
  test('holds where no request can tell two vectors apart by more than the margin', () => {
    const one = randomUnit(1);
    const good = near(one, EQUALLY_GOOD_MARGIN * 0.99, 2);
    const far = near(one, EQUALLY_GOOD_MARGIN * 1.2, 3);
    const cosine = (left: number[], right: number[]): number =>
      left.reduce((sum, value, index) => sum + value * right[index]!, 0);

    expect(areEquallyGood(one, good)).toBe(true);
    expect(areEquallyGood(one, far)).toBe(false);
    for (let seed = 10; seed < 200; seed++) {
      const request = randomUnit(seed);
      const difference = Math.abs(cosine(request, one) - cosine(request, good));
      expect(difference).toBeLessThanOrEqual(EQUALLY_GOOD_MARGIN);
    }
  });

  test('of parts that are absent, both are or neither', () => {
    expect(areEquallyGood(null, null)).toBe(true);
    expect(areEquallyGood([1, 0], null)).toBe(false);
    expect(areEquallyGood(null, [1, 0])).toBe(false);
    expect(areEquallyGood([1, 0], [1, 0, 0])).toBe(false);
  });
});
