import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Tensor } from '#core/tensor.ts';
import { DenoiseClock } from '#denoiser/denoise-clock.ts';
import type { TextCondition } from '#models/model.ts';
import type { Denoiser } from '#models/run-answers.ts';

const TENSOR: Tensor = { data: new Float32Array(0), shape: [0] };
const CONDITION: TextCondition = { states: TENSOR, mask: new BigInt64Array(0) };

let milliseconds = 0;

const slow: Denoiser = {
  encodeText: async () => {
    milliseconds += 400;
    return CONDITION;
  },
  velocity: async () => {
    milliseconds += 40;
    return TENSOR;
  },
  segment: async () => {
    milliseconds += 7;
    return TENSOR;
  },
  regions: null,
};

describe('DenoiseClock', () => {
  beforeEach(() => void vi.spyOn(performance, 'now').mockImplementation(() => milliseconds));
  afterEach(() => void vi.restoreAllMocks());

  it('counts the network alone', async () => {
    const clock = new DenoiseClock(slow);
    await clock.encodeText('a red ball');
    for (let step = 0; step < 2; step++) {
      await clock.velocity(TENSOR, 1, CONDITION, CONDITION, 3);
    }
    await clock.segment(TENSOR);

    expect(clock.work).toEqual({ networkEvaluations: 2, denoiseSeconds: 0.08 });
  });

  it('has counted nothing where nothing was run', () => {
    expect(new DenoiseClock(slow).work).toEqual({ networkEvaluations: 0, denoiseSeconds: 0 });
  });

  it('passes on what the network answers, and its errors', async () => {
    const broken = new DenoiseClock({ ...slow, velocity: () => Promise.reject(new Error('lost')) });
    const clock = new DenoiseClock(slow);

    expect(await clock.velocity(TENSOR, 1, CONDITION, CONDITION, 3)).toBe(TENSOR);
    await expect(broken.velocity(TENSOR, 1, CONDITION, CONDITION, 3)).rejects.toThrow('lost');
  });
});
