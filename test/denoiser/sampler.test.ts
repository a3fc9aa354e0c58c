import { describe, expect, it } from 'vitest';
import { standardNormalNoise } from '#core/noise.ts';
import {
  sample,
  startLatent,
  type DonorParts,
  type SampleOptions,
  type SamplingStoppedError,
} from '#denoiser/sampler.ts';
import { FakeVideoModel, planFor, SHAPE, targetOf } from './fakes.ts';

const OPTIONS: SampleOptions = { latentShape: SHAPE, prompt: 'a red ball', guidance: 3 };

function filled(value: number): { data: Float32Array; shape: readonly number[] } {
  return { data: new Float32Array(96).fill(value), shape: SHAPE };
}

/** The first row of every frame is the object. */
const DONORS: DonorParts = {
  object: {
    object: filled(5),
    dilatedMask: {
      data: Float32Array.from({ length: 48 }, (_, index) => (index % 16 < 4 ? 1 : 0)),
      shape: [3, 4, 4],
    },
  },
  background: filled(-2),
};

describe('sample', () => {
  it.each([
    [1, 12],
    [1, 1],
    [0.6, 5],
    [0.3, 3],
  ])('ends in the target of a straight flow from time %d in %d steps', async (startTime, steps) => {
    // Prepare
    const model = new FakeVideoModel();
    const donors = startTime === 1 ? null : DONORS;

    // Act
    const latent = await sample(model, { seed: 7, startTime, steps }, donors, OPTIONS);

    // Assess
    const target = targetOf(OPTIONS.prompt);
    const worst = latent.data.reduce(
      (most, x, i) => Math.max(most, Math.abs(x - target.data[i]!)),
      0,
    );
    expect(worst).toBeLessThan(1e-5);
    expect(model.times).toHaveLength(steps);
    expect(model.times[0]).toBe(startTime);
    expect(model.guidances.every((guidance) => guidance === 3)).toBe(true);
  });

  it('gives the same latent for the same seed and another for another seed', async () => {
    // Prepare: one that keeps what the noise was, as the exact flow would not.
    const model = new FakeVideoModel();
    model.velocity = async (latent) => latent;
    const run = (seed: number) => sample(model, { ...planFor('miss'), seed }, null, OPTIONS);

    // Act
    const [one, again, other] = [await run(1), await run(1), await run(2)];

    // Assess
    expect(again.data).toEqual(one.data);
    expect(other.data).not.toEqual(one.data);
  });

  it('runs no further step once it is told to stop', async () => {
    // Prepare
    const model = new FakeVideoModel();
    const shouldStop = () => model.times.length === 3;

    // Act
    const run = sample(model, planFor('miss'), null, { ...OPTIONS, shouldStop });

    // Assess
    await expect(run).rejects.toMatchObject({ code: 'cancelled' });
    expect(model.times).toHaveLength(3);
  });

  it('goes on from where it was stopped to the very same bits', async () => {
    // Prepare
    const model = new FakeVideoModel();
    const whole = await sample(model, planFor('whole'), DONORS, OPTIONS);
    const shouldStop = () => model.times.length === 5 + 2;
    const stopped = await sample(model, planFor('whole'), DONORS, { ...OPTIONS, shouldStop }).then(
      () => null,
      (error: unknown) => error as SamplingStoppedError,
    );
    model.times.length = 0;

    // Act
    const { state } = stopped!;
    const resumed = await sample(model, planFor('whole'), null, { ...OPTIONS, from: state });

    // Assess
    expect(state.stepsDone).toBe(2);
    expect(model.times).toHaveLength(3);
    expect(resumed.data).toEqual(whole.data);
  });

  it('reports every step that is done', async () => {
    // Prepare
    const steps: number[] = [];

    // Act
    await sample(new FakeVideoModel(), planFor('whole'), DONORS, {
      ...OPTIONS,
      onStep: (done) => void steps.push(done),
    });

    // Assess
    expect(steps).toEqual([1, 2, 3, 4, 5]);
  });

  it('refuses a latent that is not finite', async () => {
    // Prepare
    const model = new FakeVideoModel();
    model.velocity = async ({ data, shape }) => ({ data: data.map(() => NaN), shape });

    // Act & Assess
    await expect(sample(model, planFor('miss'), null, OPTIONS)).rejects.toMatchObject({
      code: 'model_corrupt',
      message: expect.stringContaining('NaN at position 0'),
    });
  });
});

describe('startLatent', () => {
  const noise = standardNormalNoise(SHAPE, 7, 'start');

  it('is the noise of the seed without donors', () => {
    expect(startLatent(planFor('miss'), null, SHAPE).data).toEqual(noise.data);
  });

  it.each([
    ['object+background', DONORS, [5, -2]],
    ['object', { ...DONORS, background: null }, [5, 0]],
    ['background', { ...DONORS, object: null }, [-2, -2]],
  ] as const)('re-noises the composed donors of %s', (hit, donors, [inside, outside]) => {
    // Act
    const { data } = startLatent(planFor(hit), donors, SHAPE);

    // Assess: position 0 lies inside the mask, position 15 outside.
    expect(data[0]).toBeCloseTo(0.4 * inside + 0.6 * noise.data[0]!, 6);
    expect(data[15]).toBeCloseTo(0.4 * outside + 0.6 * noise.data[15]!, 6);
  });
});
