import { describe, expect, it } from 'vitest';
import type { SolverName } from '#core/generation.ts';
import type { Tensor } from '#core/latents/tensor.ts';
import { sampleBatch } from '#models/sample-batch.ts';
import { SampleRun, type DonorParts } from '#models/sample-run.ts';
import { sample, type SampleOptions, type SamplingStoppedError } from '#models/sampler.ts';
import {
  CurvedVideoModel,
  FakeRegions,
  FakeVideoModel,
  planFor,
  SHAPE,
  targetOf,
} from '../denoiser/fakes.ts';

const OPTIONS: SampleOptions = { latentShape: SHAPE, prompt: 'a red ball', guidance: 3 };
const BACKGROUND: Tensor = {
  data: Float32Array.from({ length: 96 }, (_, index) => -2 + index / 96),
  shape: SHAPE,
};
const DONORS: DonorParts = { object: null, background: BACKGROUND };

/** The fake masks a corner position of each frame: grown by one it lies in the first of four tokens. */
const LIVE = [0, 4, 8];
const CONTEXT = [1, 2, 3, 5, 6, 7, 9, 10, 11];

function regionPlan(steps = 5, solver: SolverName = 'ab2') {
  return planFor('background', [], { anchor: 'region', startTime: 0.95, steps, solver });
}

/** The donor's own object, in the first token of each frame. */
const HOLE: Tensor = {
  data: Float32Array.from({ length: 48 }, (_, position) => (position % 16 === 5 ? 1 : 0)),
  shape: [3, 4, 4],
};

function placePlan() {
  return planFor('background', [], { anchor: 'place', startTime: 1, steps: 4, solver: 'dpmpp-2m' });
}

function modelOf(video: FakeVideoModel, isTrained = false, influence = 0) {
  const regions = new FakeRegions(video, isTrained);
  regions.influence = influence;
  video.regions = regions;
  return { video, regions };
}

describe('a run for a region', () => {
  it('ends in the target of a straight flow in the object, and in the donor outside', async () => {
    // Prepare
    const { video } = modelOf(new FakeVideoModel());

    // Act
    const latent = await sample(video, regionPlan(), DONORS, OPTIONS);

    // Assess
    const target = targetOf(OPTIONS.prompt);
    for (const channel of [0, 1]) {
      for (const frame of [0, 1, 2]) {
        const start = (channel * 3 + frame) * 16;
        expect(latent.data[start]).toBeCloseTo(target.data[start]!, 4);
        // The second row of tokens is the donor's.
        for (let position = start + 8; position < start + 16; position++) {
          expect(latent.data[position]).toBe(BACKGROUND.data[position]);
        }
        // The edge of the region is half of each.
        const edge = start + 5;
        expect(latent.data[edge]).toBeCloseTo((target.data[edge]! + BACKGROUND.data[edge]!) / 2, 4);
      }
    }
  });

  it('evaluates all tokens twice, then those of the object with the others as context', async () => {
    // Prepare
    const { video, regions } = modelOf(new FakeVideoModel());
    const equivalents: number[] = [];

    // Act
    await sample(video, regionPlan(), DONORS, {
      ...OPTIONS,
      onStep: (_, done) => void equivalents.push(done),
    });

    // Assess
    expect(regions.evaluations).toEqual(
      Array.from({ length: 3 }, () => ({ live: LIVE, context: CONTEXT })),
    );
    expect(equivalents).toEqual([1, 2, 2.25, 2.5, 2.75]);
    expect(regions.made).toBe(1);
  });

  it('denoises the hole of the background as well', async () => {
    // Prepare: the donor had an object in the last token of the first frame.
    const { video, regions } = modelOf(new FakeVideoModel());
    const hole: Tensor = { data: new Float32Array(48), shape: [3, 4, 4] };
    hole.data[15] = 1;

    // Act
    const latent = await sample(video, regionPlan(), { ...DONORS, hole }, OPTIONS);

    // Assess
    expect(regions.evaluations[0]!.live).toEqual([0, 3, 4, 8]);
    expect(latent.data[15]).not.toBe(BACKGROUND.data[15]);
    expect(latent.data[31]).toBe(BACKGROUND.data[31]);
  });

  it('denoises an object in a given place from noise, beside the clean background alone', async () => {
    // Prepare
    const { video, regions } = modelOf(new FakeVideoModel(), true);
    const contexts: unknown[] = [];
    const cleanContext = regions.cleanContext.bind(regions);
    regions.cleanContext = (clean, tokens) => {
      contexts.push([clean, tokens]);
      return cleanContext(clean, tokens);
    };
    let equivalents = 0;

    // Act
    const latent = await sample(
      video,
      placePlan(),
      { ...DONORS, hole: HOLE },
      {
        ...OPTIONS,
        onStep: (_, done) => void (equivalents = done),
      },
    );

    // Assess
    expect(contexts).toEqual([[BACKGROUND, CONTEXT]]);
    expect(regions.evaluations).toEqual(
      Array.from({ length: 4 }, () => ({ live: LIVE, context: CONTEXT })),
    );
    expect(regions).toMatchObject({ made: 1, open: 0 });
    expect(equivalents).toBeCloseTo(0.75 / 2 + 4 * 0.25, 10);
    const target = targetOf(OPTIONS.prompt);
    latent.data.forEach((value, index) => {
      const isLive = index % 16 < 8 && index % 4 < 2;
      if (isLive) expect(value).toBeCloseTo(target.data[index]!, 4);
      else expect(value).toBe(BACKGROUND.data[index]);
    });
  });

  it.each([
    ['weights that were not trained for it', false, HOLE, 1],
    ['a donor without an object', true, { data: new Float32Array(48), shape: [3, 4, 4] }, 1],
    ['a donor whose object is not known', true, null, 1],
    ['a start that is not noise', true, HOLE, 0.95],
  ])('refuses a given place with %s', async (_, isTrained, hole, startTime) => {
    const { video } = modelOf(new FakeVideoModel(), isTrained);
    const run = sample(video, { ...placePlan(), startTime }, { ...DONORS, hole }, OPTIONS);

    await expect(run).rejects.toMatchObject({ code: 'invalid_input', field: 'anchor' });
  });

  it.each(['found', 'given'])(
    'goes on to the very same bits after any step, its region %s',
    async (how) => {
      // Prepare
      const isGiven = how === 'given';
      const plan = isGiven ? placePlan() : regionPlan();
      const donors = { ...DONORS, hole: HOLE };
      const model = () => modelOf(new CurvedVideoModel(), isGiven, 0.01).video;
      const whole = await sample(model(), plan, donors, OPTIONS);

      for (let stopAfter = 0; stopAfter < plan.steps; stopAfter++) {
        // Act
        const video = model();
        const { state } = await sample(video, plan, donors, {
          ...OPTIONS,
          shouldStop: () => video.times.length === stopAfter,
        }).then(
          () => expect.unreachable(),
          (error: unknown) => error as SamplingStoppedError,
        );
        const resumed = await sample(model(), plan, donors, { ...OPTIONS, from: state });

        // Assess: the context of a region that was found cannot be moved, so that it begins again.
        expect(state.stepsDone).toBe(isGiven ? stopAfter : Math.min(1, stopAfter));
        expect(resumed.data).toEqual(whole.data);
      }
    },
  );

  it('gives its context back when it ends, when it is stopped and when it fails', async () => {
    // Prepare
    const { video, regions } = modelOf(new FakeVideoModel());
    const shouldStop = () => video.times.length === 3;

    // Act & Assess
    await sample(video, regionPlan(), DONORS, OPTIONS);
    expect(regions).toMatchObject({ open: 0, made: 1 });
    video.times.length = 0;
    await expect(
      sample(video, regionPlan(), DONORS, { ...OPTIONS, shouldStop }),
    ).rejects.toMatchObject({ code: 'cancelled' });
    expect(regions).toMatchObject({ open: 0, made: 2 });
    video.times.length = 0;
    video.beforeStep = () => {
      if (video.times.length === 3) throw new Error('lost');
    };
    await expect(sample(video, regionPlan(), DONORS, OPTIONS)).rejects.toThrow('lost');
    expect(regions).toMatchObject({ open: 0, made: 3 });
  });

  it('denoises everything while no object is seen', async () => {
    // Prepare
    const { video, regions } = modelOf(new FakeVideoModel());
    video.hasObject = false;
    let equivalents = 0;

    // Act
    const latent = await sample(video, regionPlan(3), DONORS, {
      ...OPTIONS,
      onStep: (_, done) => void (equivalents = done),
    });

    // Assess
    const target = targetOf(OPTIONS.prompt);
    latent.data.forEach((value, index) => expect(value).toBeCloseTo(target.data[index]!, 4));
    expect(equivalents).toBe(3);
    expect(regions).toMatchObject({ open: 0, evaluations: [] });
  });

  it('is the same alone and among others in a batch', async () => {
    // Prepare
    const { video, regions } = modelOf(new CurvedVideoModel(), false, 0.01);
    const plans = [regionPlan(), planFor('background', [], { steps: 3 }), regionPlan(4, 'euler')];
    const alone: Tensor[] = [];
    for (const plan of plans) alone.push(await sample(video, plan, DONORS, OPTIONS));
    const runs = plans.map(
      (plan) => new SampleRun(plan, { latentShape: SHAPE, donors: DONORS, regions }),
    );

    // Act
    const together = await sampleBatch(
      video,
      runs.map((run) => ({ run, prompt: OPTIONS.prompt })),
      { guidance: 3, batch: 3 },
    );

    // Assess
    expect(together).toEqual(alone);
    expect(runs.map(({ equivalents }) => equivalents)).toEqual([2.75, 3, 2.5]);
    expect(regions.open).toBe(0);
  });

  it('is refused by a denoiser of whole latents, and without a background', async () => {
    await expect(sample(new FakeVideoModel(), regionPlan(), DONORS, OPTIONS)).rejects.toMatchObject(
      { code: 'invalid_input', field: 'anchor' },
    );
    await expect(
      sample(modelOf(new FakeVideoModel()).video, regionPlan(), null, OPTIONS),
    ).rejects.toMatchObject({ code: 'invalid_input', field: 'anchor' });
  });
});
