import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { standardNormalNoise } from '#core/latents/noise.ts';
import type { Tensor } from '#core/latents/tensor.ts';
import { loadManifest, type ModelPackage } from '#models/manifest.ts';
import type { TextCondition, VelocityRequest } from '#models/model.ts';
import { OnnxVideoModel } from '#models/onnx-video-model.ts';
import { StepBatches } from '#models/step-batches.ts';
import { DEMO_PACKAGE } from './package-fixture.ts';

const SHAPE = [16, 8, 16, 16];
const GUIDANCE = 3;
const ALL = Array.from({ length: 512 }, (_, token) => token);
const LIVE = ALL.filter((token) => token % 7 === 2);
const CONTEXT = ALL.filter((token) => token % 7 !== 2);

/** Token of a position of the demo package's latents. */
function tokenAt(position: number): number {
  const frame = Math.floor(position / 256);
  const y = Math.floor(position / 16) % 16;
  return (frame * 8 + Math.floor(y / 2)) * 8 + Math.floor((position % 16) / 2);
}

describe('the denoiser of the demo package', { timeout: 60_000 }, () => {
  let modelPackage: ModelPackage;
  let model: OnnxVideoModel;
  let request: VelocityRequest;
  let unconditional: TextCondition;

  beforeAll(async () => {
    modelPackage = await loadManifest(DEMO_PACKAGE);
    model = await OnnxVideoModel.open(modelPackage);
    unconditional = await model.encodeText('');
    request = {
      latent: standardNormalNoise(SHAPE, 3, 'start'),
      time: 0.7,
      condition: await model.encodeText('a red ball over a meadow'),
    };
  });

  afterAll(() => model.close());

  /** Largest difference at positions of the tokens, relative to the largest value. */
  function difference(one: Tensor, other: Tensor, tokens: readonly number[]): number {
    const chosen = new Set(tokens);
    let worst = 0;
    let largest = 0;
    one.data.forEach((value, index) => {
      if (!chosen.has(tokenAt(index % 2048))) return;
      worst = Math.max(worst, Math.abs(value - other.data[index]!));
      largest = Math.max(largest, Math.abs(value));
    });
    return worst / largest;
  }

  it('gives live tokens what they have in a full evaluation, from the keys and values of the others', async () => {
    // Act
    const regions = model.regions!;
    const full = await regions.velocityAndContext(request, unconditional, GUIDANCE);
    await full.context.restrict(CONTEXT);
    const live = await full.context.velocity(request, LIVE, unconditional, GUIDANCE);
    await full.context.release();

    // Assess
    const { latent, time, condition } = request;
    const plain = await model.velocity(latent, time, condition, unconditional, GUIDANCE);
    expect(full.velocity.data).toEqual(plain.data);
    expect(difference(live, plain, LIVE)).toBeLessThan(1e-4);
    const outside = live.data.filter((_, index) => tokenAt(index % 2048) % 7 !== 2);
    expect(outside.every((value) => value === 0)).toBe(true);
  });

  it('gives calls at the same time what each gives alone, to the last bit', async () => {
    // Prepare
    const { condition } = request;
    const others = [request.latent, standardNormalNoise(SHAPE, 4, 'start')];
    const velocityOf = (latent: Tensor): Promise<Tensor> =>
      model.velocity(latent, 0.5, condition, unconditional, GUIDANCE);

    // Act
    const together = await Promise.all(others.map(velocityOf));

    // Assess
    for (const [index, latent] of others.entries()) {
      expect(together[index]!.data).toEqual((await velocityOf(latent)).data);
    }
    expect(together[0]!.data).not.toEqual(together[1]!.data);
  });

  it('gives steps of several runs in one call what each has alone', async () => {
    // Prepare
    const steps = await Promise.all(
      ['a red ball over a meadow', 'a blue star', 'a red ball over a meadow'].map(
        async (prompt, index) => ({
          latent: standardNormalNoise(SHAPE, 5 + index, 'start'),
          time: 1 - index / 4,
          condition: await model.encodeText(prompt),
        }),
      ),
    );
    let calls = 0;
    const batches = new StepBatches(
      {
        velocities: (...given) => {
          calls += 1;
          return model.velocities(...given);
        },
      },
      3,
    );

    // Act
    const together = await Promise.all(
      steps.map(({ latent, time, condition }) =>
        batches.velocity(latent, time, condition, unconditional, GUIDANCE),
      ),
    );

    // Assess
    expect(calls).toBe(1);
    for (const [index, { latent, time, condition }] of steps.entries()) {
      const alone = await model.velocity(latent, time, condition, unconditional, GUIDANCE);
      expect(difference(together[index]!, alone, ALL)).toBeLessThan(1e-4);
    }
  });

  it('never reads what the latent has outside the live tokens', async () => {
    // Prepare
    const { context } = await model.regions!.velocityAndContext(request, unconditional, GUIDANCE);
    await context.restrict(CONTEXT);
    const other = {
      ...request,
      latent: {
        data: request.latent.data.map((value, index) =>
          tokenAt(index % 2048) % 7 === 2 ? value : 9,
        ),
        shape: SHAPE,
      },
    };

    // Act
    const [one, another] = [
      await context.velocity(request, LIVE, unconditional, GUIDANCE),
      await context.velocity(other, LIVE, unconditional, GUIDANCE),
    ];
    await context.release();

    // Assess
    expect(another.data).toEqual(one.data);
  });

  it('makes a clean context once for both rows of a guided evaluation', async () => {
    // Prepare
    const regions = model.regions!;
    const guided = await regions.cleanContext(request.latent, CONTEXT, unconditional, GUIDANCE);
    const unguided = await regions.cleanContext(request.latent, CONTEXT, unconditional, 1);

    // Act
    const [both, conditional, free] = [
      await guided.velocity(request, LIVE, unconditional, GUIDANCE),
      await unguided.velocity(request, LIVE, unconditional, 1),
      await unguided.velocity({ ...request, condition: unconditional }, LIVE, unconditional, 1),
    ];

    // Assess
    const expected: Tensor = {
      data: free.data.map((value, index) => value + GUIDANCE * (conditional.data[index]! - value)),
      shape: SHAPE,
    };
    expect(difference(both, expected, LIVE)).toBeLessThan(1e-4);
    await Promise.all([guided.release(), unguided.release()]);
    await expect(guided.velocity(request, LIVE, unconditional, GUIDANCE)).rejects.toMatchObject({
      code: 'internal',
    });
  });
});
