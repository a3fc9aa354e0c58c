import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { standardNormalNoise } from '#core/latents/noise.ts';
import { codeOf } from '../code-of.ts';

const SHAPE = [16, 8, 16, 16];

describe('standardNormalNoise', () => {
  it('is standard normal', () => {
    const { data } = standardNormalNoise([400_000], 1, 'start');

    const mean = data.reduce((sum, value) => sum + value, 0) / data.length;
    const moment = (power: number): number =>
      data.reduce((sum, value) => sum + value ** power, 0) / data.length;
    const share = (limit: number): number =>
      data.filter((value) => value < limit).length / data.length;

    expect(mean).toBeCloseTo(0, 2);
    expect(moment(2)).toBeCloseTo(1, 2);
    expect(moment(4)).toBeCloseTo(3, 1);
    expect(share(-1.959964)).toBeCloseTo(0.025, 2.5);
    expect(share(0.67449)).toBeCloseTo(0.75, 2.5);
    expect(share(2.326348)).toBeCloseTo(0.99, 2.5);
    expect(Math.max(...data.subarray(0, 100_000))).toBeGreaterThan(3.5);
    expect(data.every(Number.isFinite)).toBe(true);
  });

  it('never changes for a seed and stream: stored seeds must give the same videos for ever', () => {
    const { data } = standardNormalNoise(SHAPE, 4_294_967_295, 'start');
    const digest = createHash('sha256').update(new Uint8Array(data.buffer)).digest('hex');
    expect(digest).toBe('bbbc14ff0e43c876ce2aa337f5be3f81fa113584b6310e2cab3fc22bdabab651');
  });

  it('is independent between seeds and between streams', () => {
    const base = standardNormalNoise(SHAPE, 1, 'start').data;
    for (const other of [
      standardNormalNoise(SHAPE, 2, 'start').data,
      standardNormalNoise(SHAPE, 1, 'renoise').data,
    ]) {
      const correlation = base.reduce((sum, value, i) => sum + value * other[i]!, 0) / base.length;
      expect(Math.abs(correlation)).toBeLessThan(0.02);
    }
  });

  it('has the shape asked for', () => {
    expect(standardNormalNoise(SHAPE, 1, 'start').shape).toEqual(SHAPE);
    expect(standardNormalNoise(SHAPE, 1, 'start').data).toHaveLength(16 * 8 * 16 * 16);
  });

  it.each([[[]], [[0]], [[2, -1]], [[1.5]]])('refuses shape %j', (shape) => {
    expect(codeOf(() => standardNormalNoise(shape, 1, 'start'))).toBe('invalid_input');
  });
});
