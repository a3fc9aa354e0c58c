import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Tensor } from '#core/latents/tensor.ts';
import { DenoiseClock } from '#denoiser/denoise-clock.ts';
import type { RegionDenoiser, TextCondition } from '#models/model.ts';
import type { Denoiser } from '#models/run-answers.ts';
import { FakeRegions, FakeVideoModel, targetOf } from './fakes.ts';

const TENSOR: Tensor = { data: new Float32Array(0), shape: [0] };
const LATENT = targetOf('a red ball');
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

  it('counts an evaluation of some tokens as the share that they are', async () => {
    // Prepare: 12 tokens
    const context = await new FakeRegions(new FakeVideoModel()).cleanContext(LATENT, []);
    const regions: RegionDenoiser = {
      patch: { frames: 1, height: 2, width: 2 },
      isTrained: true,
      velocityAndContext: () => expect.unreachable(),
      cleanContext: async () => {
        milliseconds += 30;
        return {
          ...context,
          velocity: async () => {
            milliseconds += 10;
            return TENSOR;
          },
        };
      },
    };
    const clock = new DenoiseClock({ ...slow, regions });
    const request = { latent: LATENT, time: 1, condition: CONDITION };

    // Act
    const made = await clock.regions!.cleanContext(LATENT, [1, 2, 3, 4, 5, 6], CONDITION, 3);
    for (let step = 0; step < 2; step++) {
      await made.velocity(request, [0, 7, 8], CONDITION, 3);
    }

    // Assess: a quarter of an evaluation for the context, and two of a quarter.
    expect(clock.work).toEqual({
      networkEvaluations: 2,
      evaluationEquivalents: 0.75,
      denoiseSeconds: 0.05,
    });
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
