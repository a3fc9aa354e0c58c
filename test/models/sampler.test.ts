import { describe, expect, it } from 'vitest';
import { standardNormalNoise } from '#core/latents/noise.ts';
import { startPoint } from '#core/planning/calibration.ts';
import { ANCHORS, SOLVERS, type Anchor, type SolverName } from '#core/generation.ts';
import { renoise } from '#core/latents/schedule.ts';
import type { Tensor } from '#core/latents/tensor.ts';
import { sampleBatch } from '#models/sample-batch.ts';
import {
  SampleRun,
  type DonorParts,
  type SamplePlan,
  type SamplerState,
} from '#models/sample-run.ts';
import { sample, type SampleOptions, type SamplingStoppedError } from '#models/sampler.ts';
import { CurvedVideoModel, FakeVideoModel, planFor, SHAPE, targetOf } from '../denoiser/fakes.ts';

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
    const latent = await sample(
      model,
      { seed: 7, ...startPoint(startTime, steps) },
      donors,
      OPTIONS,
    );

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

  it.each(
    SOLVERS.flatMap((solver) =>
      (['none', 'background'] as const).map((anchor) => [solver, anchor] as const),
    ),
  )(
    'goes on to the very same bits, after every step of %s with anchor %s',
    async (solver, anchor) => {
      // Prepare
      const plan = planFor('whole', [], { solver, anchor, steps: 5 });
      const whole = await sample(new CurvedVideoModel(), plan, DONORS, OPTIONS);

      for (const stopAfter of [0, 1, 2, 3, 4]) {
        // Act
        const model = new CurvedVideoModel();
        const shouldStop = () => model.times.length === stopAfter;
        const { state } = await sample(model, plan, DONORS, { ...OPTIONS, shouldStop }).then(
          () => expect.unreachable(),
          (error: unknown) => error as SamplingStoppedError,
        );
        model.times.length = 0;
        const resumed = await sample(model, plan, DONORS, { ...OPTIONS, from: state });

        // Assess
        expect(state.stepsDone).toBe(stopAfter);
        expect(model.times).toHaveLength(5 - stopAfter);
        expect(resumed.data).toEqual(whole.data);
      }
    },
  );

  it('takes another way with every solver, as the flow is curved', async () => {
    const run = (solver: SolverName) =>
      sample(new CurvedVideoModel(), planFor('miss', [], { solver }), null, OPTIONS);

    const [euler, ab2, dpm] = [await run('euler'), await run('ab2'), await run('dpmpp-2m')];

    expect(ab2.data).not.toEqual(euler.data);
    expect(dpm.data).not.toEqual(euler.data);
    expect(dpm.data).not.toEqual(ab2.data);
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

describe('a run with a first image', () => {
  const FIRST: Tensor = { data: new Float32Array(32).fill(9), shape: [2, 1, 4, 4] };
  /** First frame and the frames after it, of both channels. */
  const framesOf = ({ data }: Tensor) => ({
    first: Array.from(data.filter((_, index) => index % 48 < 16)),
    rest: Array.from(data.filter((_, index) => index % 48 >= 16)),
  });

  it.each(
    SOLVERS.flatMap((solver) => [
      [solver, 'none', null] as const,
      [solver, 'background', DONORS] as const,
    ]),
  )(
    'holds its frame, clean and at time 0, in every step of %s with anchor %s',
    async (solver, anchor, donors) => {
      // Prepare
      const plan = planFor(donors === null ? 'miss' : 'whole', [], { solver, anchor, steps: 5 });
      const model = new CurvedVideoModel();
      const seen: Tensor[] = [];
      const { velocity, segment } = model;
      model.velocity = (...given) => {
        seen.push(given[0]);
        return velocity.apply(model, given);
      };
      model.segment = (...given: []) => {
        seen.push((given as unknown as [Tensor])[0]);
        return segment.apply(model, given);
      };

      // Act
      const latent = await sample(model, plan, donors, { ...OPTIONS, firstFrame: FIRST });

      // Assess
      const free = await sample(new CurvedVideoModel(), plan, donors, OPTIONS);
      expect(seen).toHaveLength(anchor === 'none' ? 5 : 6);
      for (const each of [...seen, latent]) {
        expect(framesOf(each).first).toEqual(Array.from({ length: 32 }, () => 9));
      }
      // The fake moves frames one by one: the others go as they would without an image.
      expect(framesOf(latent).rest).toEqual(framesOf(free).rest);
      expect(model.times).toEqual(
        [0, 1, 2, 3, 4].map((step) => {
          const level = plan.startTime * (1 - step / 5);
          return [0, level, level];
        }),
      );
      expect(FIRST.data.every((value) => value === 9)).toBe(true);
    },
  );

  it('goes on to the very same bits', async () => {
    const plan = planFor('miss', [], { solver: 'ab2', steps: 5 });
    const options = { ...OPTIONS, firstFrame: FIRST };
    const whole = await sample(new CurvedVideoModel(), plan, null, options);
    const model = new CurvedVideoModel();
    const shouldStop = () => model.times.length === 2;

    const { state } = await sample(model, plan, null, { ...options, shouldStop }).then(
      () => expect.unreachable(),
      (error: unknown) => error as SamplingStoppedError,
    );
    const resumed = await sample(new CurvedVideoModel(), plan, null, { ...options, from: state });

    expect(resumed.data).toEqual(whole.data);
  });
});

describe('the start of a run', () => {
  const noise = standardNormalNoise(SHAPE, 7, 'start');
  const startOf = (plan: SamplePlan, donors: DonorParts | null) =>
    new SampleRun(plan, { latentShape: SHAPE, donors }).state.latent;

  it('has the noise level that the schedule gives for the start time', () => {
    const schedule = { shift: 3 };
    const plan = planFor('object+background');
    const { data } = new SampleRun(plan, { latentShape: SHAPE, donors: DONORS, schedule }).state
      .latent;
    const level = (3 * 0.6) / (1 + 2 * 0.6);
    expect(data[0]).toBeCloseTo((1 - level) * 5 + level * noise.data[0]!, 6);
  });

  it('is the noise of the seed without donors', () => {
    expect(startOf(planFor('miss'), null).data).toEqual(noise.data);
  });

  it.each([
    ['object+background', DONORS, [5, -2]],
    ['object', { ...DONORS, background: null }, [5, 0]],
    ['background', { ...DONORS, object: null }, [-2, -2]],
  ] as const)('is the re-noised composed donors of %s', (hit, donors, [inside, outside]) => {
    // Act
    const { data } = startOf(planFor(hit), donors);

    // Assess: position 0 lies inside the mask, position 15 outside.
    expect(data[0]).toBeCloseTo(0.4 * inside + 0.6 * noise.data[0]!, 6);
    expect(data[15]).toBeCloseTo(0.4 * outside + 0.6 * noise.data[15]!, 6);
  });

  it.each([
    ['region', DONORS],
    ['background', { ...DONORS, background: null }],
    ['background', null],
  ] as const)('is refused for the anchor %s without what it needs', (anchor, donors) => {
    const plan = planFor('background', [], { anchor });

    expect(() => startOf(plan, donors)).toThrow(
      expect.objectContaining({ code: 'invalid_input', field: 'anchor' }),
    );
  });
});

describe('a run that holds the background', () => {
  const noise = standardNormalNoise(SHAPE, 7, 'start');
  const BACKGROUND: DonorParts = { object: null, background: filled(-2) };

  /** Latents and times after each step. */
  async function statesOf(anchor: Anchor, steps: number, model = new CurvedVideoModel()) {
    const states: SamplerState[] = [];
    const plan = planFor('background', [], { anchor, steps, solver: 'ab2' });
    const run = new SampleRun(plan, { latentShape: SHAPE, donors: BACKGROUND });
    let segmented: Tensor | null = null;
    const condition = await model.encodeText(OPTIONS.prompt);
    for (let request = run.next(); request !== null; request = run.next()) {
      if (request.kind === 'segment') {
        segmented = request.latent;
        run.accept(await model.segment());
      } else {
        const free = await model.encodeText('');
        run.accept(await model.velocity(request.latent, request.time, condition, free, 3));
      }
      if (run.state.stepsDone > states.length) states.push(run.state);
    }
    return { states, segmented: segmented as Tensor | null, last: run.result() };
  }

  /** The fake segments the first position of each frame: dilated, the corner of 2x2. */
  const isInside = (index: number) => index % 16 < 8 && index % 4 < 2;

  it('sets all but the object to the re-noised donor, after the second step to the last but one', async () => {
    // Act
    const { states } = await statesOf('background', 5);
    const free = await statesOf('none', 5);

    // Assess
    expect(states[0]!.latent.data).toEqual(free.states[0]!.latent.data);
    for (const [index, state] of states.entries()) {
      const time = 0.6 * (1 - (index + 1) / 5);
      const donor = renoise(filled(-2), time, noise);
      const held = [...state.latent.data.keys()].filter(
        (position) => state.latent.data[position] === donor.data[position],
      );
      const outside = [...donor.data.keys()].filter((position) => !isInside(position));
      expect(held).toEqual(index === 0 || index === 4 ? [] : outside);
      expect(state.inside === null).toBe(index === 0);
    }
    expect(states.at(-1)!.latent.data[15]).not.toBe(free.last.data[15]);
  });

  it('finds the object once, in the clean latent that the second evaluation predicts', async () => {
    // Prepare: a straight flow predicts its target at any time.
    const model = new FakeVideoModel();

    // Act
    const { segmented } = await statesOf('background', 5, model as CurvedVideoModel);

    // Assess
    const target = targetOf(OPTIONS.prompt);
    for (const [index, value] of segmented!.data.entries()) {
      expect(value).toBeCloseTo(target.data[index]!, 5);
    }
  });

  it.each([1, 2])('asks for no object where %i steps leave nothing to hold', async (steps) => {
    const { segmented, last } = await statesOf('background', steps);
    const free = await statesOf('none', steps);

    expect(segmented).toBeNull();
    expect(last.data).toEqual(free.last.data);
  });
});

describe('sampleBatch', () => {
  const PLANS = Array.from({ length: 7 }, (_, index): SamplePlan => {
    const solver = SOLVERS[index % SOLVERS.length]!;
    const steps = 1 + ((index * 3) % 5);
    if (index % 2 === 0) return { ...planFor('miss', [], { solver, steps }), seed: index };
    const anchor = ANCHORS[index % 2]!;
    return { ...planFor('whole', [], { solver, steps, anchor }), seed: index };
  });
  const donorsOf = (plan: SamplePlan) => (plan.startTime === 1 ? null : DONORS);
  const promptOf = (index: number) => `a ball, number ${index}`;

  it.each([1, 3, 16])('ends where each run alone ends, %i at once', async (batch) => {
    // Prepare
    const model = new CurvedVideoModel();
    const rows: number[] = [];
    const answer = model.velocities.bind(model);
    model.velocities = (requests, ...rest) => {
      rows.push(requests.length);
      return answer(requests, ...rest);
    };
    const given = PLANS.map((plan, index) => ({
      run: new SampleRun(plan, { latentShape: SHAPE, donors: donorsOf(plan) }),
      prompt: promptOf(index),
    }));
    const told: number[] = [];

    // Act
    const latents = await sampleBatch(model, given, {
      guidance: 3,
      batch,
      onResult: (latent, index) => {
        told[index] = latent.data[0]!;
      },
    });

    // Assess
    for (const [index, plan] of PLANS.entries()) {
      const options = { ...OPTIONS, prompt: promptOf(index) };
      const alone = await sample(new CurvedVideoModel(), plan, donorsOf(plan), options);
      expect(latents[index]!.data).toEqual(alone.data);
      expect(told[index]).toBe(alone.data[0]);
    }
    const evaluations = PLANS.reduce((sum, { steps }) => sum + steps, 0);
    expect(rows.reduce((sum, row) => sum + row, 0)).toBe(evaluations);
    // Calls are full as long as runs wait; two batches share them.
    expect(Math.max(...rows)).toBe(Math.min(batch, Math.ceil(PLANS.length / 2)));
    expect(rows.length).toBeLessThanOrEqual(evaluations / Math.min(batch, 3) + 5);
  });

  it('makes runs when their turn comes', async () => {
    // Prepare
    const made: number[] = [];
    function* samples() {
      for (const [index, plan] of PLANS.entries()) {
        made.push(index);
        const run = new SampleRun(plan, { latentShape: SHAPE, donors: donorsOf(plan) });
        yield { run, prompt: promptOf(index) };
      }
    }
    let first = 0;

    // Act
    await sampleBatch(new CurvedVideoModel(), samples(), {
      guidance: 3,
      batch: 2,
      onResult: () => {
        first ||= made.length;
      },
    });

    // Assess
    // Two batches are under way.
    expect(first).toBe(4);
    expect(made).toHaveLength(PLANS.length);
  });

  it('ends with the error of a step, and takes up no other run', async () => {
    // Prepare
    const model = new CurvedVideoModel();
    model.beforeStep = () => {
      if (model.times.length === 4) throw new Error('lost');
    };
    const made: number[] = [];
    function* samples() {
      for (const [index, plan] of PLANS.entries()) {
        made.push(index);
        const run = new SampleRun(plan, { latentShape: SHAPE, donors: donorsOf(plan) });
        yield { run, prompt: promptOf(index) };
      }
    }

    // Act & Assess
    const batch = sampleBatch(model, samples(), { guidance: 3, batch: 1 });
    await expect(batch).rejects.toThrow('lost');
    const { length } = made;
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(made).toHaveLength(length);
    expect(length).toBeLessThan(PLANS.length);
  });

  it('refuses a batch that holds nothing', async () => {
    const options = { guidance: 3, batch: 0 };

    await expect(sampleBatch(new FakeVideoModel(), [], options)).rejects.toMatchObject({
      code: 'invalid_input',
      field: 'batch',
    });
  });
});
