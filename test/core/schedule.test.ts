import { describe, expect, it } from 'vitest';
import { eulerStep, eulerTimes, renoise } from '#core/schedule.ts';
import type { Tensor } from '#core/tensor.ts';
import { codeOf } from './code-of.ts';

const tensor = (...values: number[]): Tensor => ({
  data: Float32Array.from(values),
  shape: [values.length],
});

describe('eulerTimes', () => {
  it('goes from the start time to 0 in even steps', () => {
    expect(eulerTimes(1, 4)).toEqual([1, 0.75, 0.5, 0.25, 0]);
    expect(eulerTimes(0.5, 1)).toEqual([0.5, 0]);
  });

  it.each([
    [0, 1],
    [1.1, 1],
    [NaN, 1],
    [1, 0],
    [1, 1.5],
  ])('refuses start time %d in %d steps', (startTime, steps) => {
    expect(codeOf(() => eulerTimes(startTime, steps))).toBe('invalid_input');
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
