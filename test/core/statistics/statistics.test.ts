import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { standardNormalNoise } from '#core/latents/noise.ts';
import { distanceOf, meanPairwiseDistance } from '#core/statistics/diversity.ts';
import { FrechetReference } from '#core/statistics/frechet.ts';
import {
  bootstrapEstimate,
  mean,
  quantileOf,
  standardDeviation,
  upperBound,
} from '#core/statistics/intervals.ts';
import { nonIncreasingFit } from '#core/statistics/monotone.ts';
import { codeOf } from '../code-of.ts';

const finite = fc.double({ min: -1e3, max: 1e3, noNaN: true });

/** Rows of independent normal numbers, scaled and shifted by dimension. */
function rowsOf(
  count: number,
  seed: number,
  change: (value: number, dimension: number) => number = (value) => value,
): Float32Array[] {
  const dimensions = 4;
  const { data } = standardNormalNoise([count, dimensions], seed, 'rows');
  return Array.from({ length: count }, (_, row) =>
    data.slice(row * dimensions, (row + 1) * dimensions).map(change),
  );
}

describe('the bootstrap', () => {
  it('gives intervals that hold the mean and follow a shift of all values', () => {
    fc.assert(
      fc.property(fc.array(finite, { minLength: 1, maxLength: 40 }), finite, (values, shift) => {
        const options = { draws: 200, seed: 3 };
        const { mean: centre, low, high } = bootstrapEstimate(values, options);
        expect(low).toBeLessThanOrEqual(centre);
        expect(centre).toBeLessThanOrEqual(high);
        expect(upperBound(values, options)).toBeLessThanOrEqual(Math.max(...values) + 1e-9);
        const moved = bootstrapEstimate(
          values.map((value) => value + shift),
          options,
        );
        expect(moved.low).toBeCloseTo(low + shift, 6);
        expect(moved.high).toBeCloseTo(high + shift, 6);
      }),
      { numRuns: 50 },
    );
  });

  it('covers the true mean of normal samples about as often as it says', () => {
    let covered = 0;
    const runs = 200;
    for (let run = 0; run < runs; run++) {
      const { data } = standardNormalNoise([60], run, 'sample');
      const { low, high } = bootstrapEstimate(data, { draws: 400, seed: run });
      if (low <= 0 && 0 <= high) covered += 1;
    }
    expect(covered / runs).toBeGreaterThan(0.89);
    expect(covered / runs).toBeLessThan(0.99);
  });

  it('widens where values come in groups of the same', () => {
    const { data } = standardNormalNoise([50], 3, 'sample');
    const four = Array.from({ length: 200 }, (_, index) => data[Math.floor(index / 4)]!);
    const groups = four.map((_, index) => Math.floor(index / 4));
    const widthOf = ({ low, high }: { low: number; high: number }): number => high - low;
    const together = widthOf(bootstrapEstimate(four, { groups, seed: 1 }));
    expect(together / widthOf(bootstrapEstimate(data, { seed: 1 }))).toBeCloseTo(1, 1);
    expect(widthOf(bootstrapEstimate(four, { seed: 1 })) / together).toBeCloseTo(0.5, 1);
  });

  it('refuses a sample of nothing', () => {
    expect(codeOf(() => mean([]))).toBe('invalid_input');
    expect(codeOf(() => upperBound([]))).toBe('invalid_input');
  });

  it('reads quantiles between two values', () => {
    expect(quantileOf([1, 2, 4], 0.75)).toBe(3);
    expect(quantileOf([7], 0.3)).toBe(7);
    expect(standardDeviation([1, 3])).toBeCloseTo(Math.SQRT2, 12);
  });
});

describe('the monotone fit', () => {
  it('never rises, covers everything, keeps the weighted mean, and is no worse than a constant', () => {
    const weighted = fc.array(fc.tuple(finite, fc.integer({ min: 1, max: 9 })), { minLength: 1 });
    fc.assert(
      fc.property(weighted, (pairs) => {
        const values = pairs.map(([value]) => value);
        const weights = pairs.map(([, weight]) => weight);
        const blocks = nonIncreasingFit(values, weights);
        expect(blocks[0]!.from).toBe(0);
        expect(blocks.at(-1)!.to).toBe(values.length);
        for (const [index, block] of blocks.slice(1).entries()) {
          expect(block.from).toBe(blocks[index]!.to);
          expect(block.value).toBeLessThan(blocks[index]!.value);
        }
        const fitted = values.map(
          (_, index) => blocks.find(({ from, to }) => from <= index && index < to)!.value,
        );
        const sumOf = (of: readonly number[]): number =>
          of.reduce((sum, value, index) => sum + value * weights[index]!, 0);
        const total = weights.reduce((sum, weight) => sum + weight, 0);
        expect(sumOf(fitted) / total).toBeCloseTo(sumOf(values) / total, 6);
        const errorOf = (of: (index: number) => number): number =>
          sumOf(values.map((value, index) => (value - of(index)) ** 2));
        const constant = sumOf(values) / total;
        expect(errorOf((index) => fitted[index]!)).toBeLessThanOrEqual(
          errorOf(() => constant) + 1e-6,
        );
      }),
    );
  });

  it('leaves what falls as it is', () => {
    expect(nonIncreasingFit([3, 2, 1], [1, 1, 1]).map(({ value }) => value)).toEqual([3, 2, 1]);
    expect(nonIncreasingFit([1, 3], [1, 3])).toEqual([{ from: 0, to: 2, value: 2.5 }]);
  });
});

describe('the Frechet distance', () => {
  it('is 0 to itself and does not depend on which sample is the reference', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1e6 }), finite, (seed, shift) => {
        const one = rowsOf(30, seed, (value, dimension) => value * (dimension + 1) + shift / 100);
        const other = rowsOf(30, seed + 1);
        expect(new FrechetReference(one).distanceTo(one).distance).toBeCloseTo(0, 6);
        const there = new FrechetReference(one).distanceTo(other).distance;
        const back = new FrechetReference(other).distanceTo(one).distance;
        expect(there).toBeCloseTo(back, 6);
        expect(there).toBeGreaterThan(0);
      }),
      { numRuns: 20 },
    );
  });

  it('agrees with the closed form of normals without correlation', () => {
    // Scaling dimension i by s and shifting by m gives m^2 + (s - 1)^2 each.
    const reference = rowsOf(4000, 1);
    const scaled = rowsOf(4000, 1, (value, dimension) => value * (1 + dimension / 4) + dimension);
    const expected = [0, 1, 2, 3].reduce((sum, i) => sum + i ** 2 + (i / 4) ** 2, 0);
    const { distance } = new FrechetReference(reference).distanceTo(scaled);
    expect(Math.abs(distance - expected)).toBeLessThan(0.2);
  });

  it('counts dimensions in which nothing varies', () => {
    const flat = rowsOf(20, 2, (value, dimension) => (dimension === 3 ? 5 : value));
    const { distance, influence } = new FrechetReference(flat).distanceTo(flat);
    expect(distance).toBeCloseTo(0, 6);
    expect(influence.every(Number.isFinite)).toBe(true);
  });

  it('leaves out components in which the reference hardly varies', () => {
    const scale = (value: number, dimension: number): number =>
      value * [5, 4, 0.01, 0.01][dimension]!;
    const reference = new FrechetReference(rowsOf(400, 7, scale), 2);
    const other = rowsOf(400, 8, scale);
    const withNoise = other.map((row) =>
      row.map((value, index) => (index > 1 ? value + 3 : value)),
    );
    const plain = reference.distanceTo(other).distance;
    expect(plain).toBeGreaterThan(0);
    expect(reference.distanceTo(withNoise).distance / plain).toBeCloseTo(1, 1);
    const moved = other.map((row) => row.map((value, index) => (index === 0 ? value + 3 : value)));
    expect(reference.distanceTo(moved).distance).toBeGreaterThan(plain + 8);
  });

  it('says by the influence of rows how uncertain it is, as drawing the rows anew does', () => {
    const reference = new FrechetReference(rowsOf(2000, 5));
    const distances: number[] = [];
    const errors: number[] = [];
    for (let run = 0; run < 120; run++) {
      const rows = rowsOf(300, 100 + run, (value, dimension) => value * 1.5 + dimension / 2);
      const { distance, influence } = reference.distanceTo(rows);
      distances.push(distance);
      errors.push(standardDeviation(influence) / Math.sqrt(rows.length));
      expect(mean(influence)).toBeCloseTo(0, 6);
    }
    const ratio = mean(errors) / standardDeviation(distances);
    expect(ratio).toBeGreaterThan(0.8);
    expect(ratio).toBeLessThan(1.25);
  });

  it('refuses rows that are too few or of another network', () => {
    expect(codeOf(() => new FrechetReference([new Float32Array(3)]))).toBe('invalid_input');
    const reference = new FrechetReference(rowsOf(5, 1));
    const foreign = [new Float32Array(3), new Float32Array(3)];
    expect(codeOf(() => reference.distanceTo(foreign))).toBe('invalid_input');
  });
});

describe('diversity', () => {
  it('is the mean distance of all pairs', () => {
    expect(meanPairwiseDistance([[0], [3], [4]])).toBeCloseTo((3 + 4 + 1) / 3, 12);
    expect(meanPairwiseDistance([[1, 2]])).toBe(0);
    expect(distanceOf([0, 0], [3, 4])).toBe(5);
  });
});
