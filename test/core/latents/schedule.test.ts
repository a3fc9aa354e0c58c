import { describe, expect, it } from 'vitest';
import { eulerStep, noiseLevel, noiseLevels, renoise } from '#core/latents/schedule.ts';
import type { Tensor } from '#core/latents/tensor.ts';
import { codeOf } from '../code-of.ts';

const tensor = (...values: number[]): Tensor => ({
  data: Float32Array.from(values),
  shape: [values.length],
});

describe('noiseLevels', () => {
  it('goes from the start time to 0 in even steps', () => {
    expect(noiseLevels(1, 4)).toEqual([1, 0.75, 0.5, 0.25, 0]);
    expect(noiseLevels(0.5, 1)).toEqual([0.5, 0]);
  });

  it.each([
    [0, 1],
    [1.1, 1],
    [NaN, 1],
    [1, 0],
    [1, 1.5],
  ])('refuses start time %d in %d steps', (startTime, steps) => {
    expect(codeOf(() => noiseLevels(startTime, steps))).toBe('invalid_input');
  });
});

describe('noise schedules', () => {
  it('shift levels by the formula of Stable Diffusion 3', () => {
    const printed = [1, 0.964, 0.923, 0.875, 0.818, 0.75, 0.667, 0.562, 0.429, 0.25, 0];
    const levels = noiseLevels(1, 10, { shift: 3 });
    for (const [index, level] of levels.entries()) expect(level).toBeCloseTo(printed[index]!, 3);
  });

  it('count start times on the grid: half the steps are left from 0.5 on', () => {
    const all = noiseLevels(1, 10, { shift: 5 });
    const half = noiseLevels(0.5, 5, { shift: 5 });
    expect(half).toHaveLength(6);
    for (const [index, level] of half.entries()) expect(level).toBeCloseTo(all[5 + index]!, 12);
  });

  it('draw straight lines between explicit sigmas', () => {
    const sigmas = [1, 0.9, 0.5, 0];
    expect(noiseLevels(1, 3, { sigmas })).toEqual(sigmas.map((sigma) => expect.closeTo(sigma, 12)));
    expect(noiseLevel({ sigmas }, 0.5)).toBeCloseTo(0.7, 12);
    expect(noiseLevel({ sigmas }, 0)).toBe(0);
    expect(noiseLevel({ sigmas }, 1)).toBe(1);
  });

  it('refuse times outside 0..1', () => {
    expect(codeOf(() => noiseLevel({ shift: 3 }, 1.5))).toBe('invalid_input');
  });
});

describe('renoise and eulerStep', () => {
  it('give back the clean latent from its own velocity in one step', () => {
    const clean = tensor(1, -2, 0.5);
    const noise = tensor(-1, 0.25, 2);
    const velocity = tensor(-2, 2.25, 1.5);

    const noisy = renoise(clean, 0.75, noise);
    const back = eulerStep(noisy, velocity, 0.75, 0);

    expect([...noisy.data]).toEqual([-0.5, -0.3125, 1.625]);
    expect([...back.data]).toEqual([...clean.data]);
  });

  it('leave their inputs alone', () => {
    const clean = tensor(1);
    renoise(clean, 0.5, tensor(3));
    eulerStep(clean, tensor(3), 1, 0);
    expect([...clean.data]).toEqual([1]);
  });

  it('refuse other shapes and times', () => {
    expect(codeOf(() => renoise(tensor(1), 0.5, tensor(1, 2)))).toBe('invalid_input');
    expect(codeOf(() => renoise(tensor(1), -0.5, tensor(1)))).toBe('invalid_input');
    expect(codeOf(() => eulerStep(tensor(1), tensor(1, 2), 1, 0))).toBe('invalid_input');
    expect(codeOf(() => eulerStep(tensor(1), tensor(1), 2, 0))).toBe('invalid_input');
  });
});
