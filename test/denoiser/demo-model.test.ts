import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DefaultCalibration } from '#core/planning/calibration.ts';
import { backgroundPart, objectPart } from '#core/latents/compose.ts';
import { LOOKUP_PARTS } from '#core/generation.ts';
import { compatibilityKey } from '#core/requests/identity.ts';
import { elementCount } from '#core/latents/tensor.ts';
import { compatibilityOf, loadManifest, type ModelPackage } from '#models/manifest.ts';
import { OnnxTextEmbedder } from '#models/onnx-text-embedder.ts';
import { OnnxVideoModel } from '#models/onnx-video-model.ts';
import { OnnxJudge } from '#models/onnx-judge.ts';
import { standardNormalNoise } from '#core/latents/noise.ts';
import { noiseLevels, renoise } from '#core/latents/schedule.ts';
import { sampleBatch } from '#models/sample-batch.ts';
import { SampleRun } from '#models/sample-run.ts';
import { sample, type SamplingStoppedError } from '#models/sampler.ts';
import { generateVideo } from '#denoiser/generate-video.ts';
import { DEMO_PACKAGE } from '../models/package-fixture.ts';
import { donorFor, MemoryObjects, planFor, RecordingControl, requestFor } from './fakes.ts';

const LATENT_SHAPE = [16, 8, 16, 16];

function relativeDistance(one: Float32Array, other: Float32Array): number {
  const difference = one.map((value, index) => value - other[index]!);
  return Math.hypot(...difference) / Math.hypot(...other);
}

function length(vector: readonly number[]): number {
  return Math.hypot(...vector);
}

describe('the demo model', { timeout: 60_000 }, () => {
  let modelPackage: ModelPackage;
  let model: OnnxVideoModel;

  beforeAll(async () => {
    modelPackage = await loadManifest(DEMO_PACKAGE);
    model = await OnnxVideoModel.open(modelPackage);
  });

  afterAll(async () => {
    await model.close();
  });

  function generate(
    objects: MemoryObjects,
    plan: ReturnType<typeof planFor>,
    control = new RecordingControl(),
  ) {
    const dependencies = {
      model,
      manifest: modelPackage.manifest,
      calibration: new DefaultCalibration(modelPackage.manifest.lookup!.thresholds),
      compatibilityKey: compatibilityKey(compatibilityOf(modelPackage)),
      objects,
    };
    return generateVideo(dependencies, requestFor('a red ball over a meadow'), plan, control);
  }

  it('makes a video, and another one from the first', async () => {
    // Prepare
    const objects = new MemoryObjects();

    // Act
    const first = await generate(objects, planFor('miss', [], { steps: 3, fullSteps: 3 }));
    const donor = donorFor('whole', first.latentKey!);
    const second = await generate(objects, planFor('whole', [donor], { steps: 2, seed: 8 }));

    // Assess
    const { embedding } = modelPackage.manifest;
    expect(first.vectors.whole).toHaveLength(embedding.dimensions);
    expect(length(first.vectors.whole!)).toBeCloseTo(1, 3);
    expect(Object.keys(first.shown!).length).toBeGreaterThan(0);
    expect(await sharp(objects.bodies.get(first.animationKey)).metadata()).toMatchObject({
      pages: 16,
    });
    expect(second).toMatchObject({ hit: 'whole', stepsRun: 2, donors: [donor] });
    expect(second.videoKey).not.toBe(first.videoKey);
  });

  it('gives every latent of a run of the tower the vector that it has alone', async () => {
    // Prepare
    const latent = standardNormalNoise(LATENT_SHAPE, 1, 'tower');
    const shape = LATENT_SHAPE.slice(1);
    const mask = { data: new Float32Array(elementCount(shape)).fill(1, 0, 40), shape };

    // Act
    const together = (await model.embedParts(latent, mask, LOOKUP_PARTS))!;

    // Assess
    const parts = [latent, objectPart(latent, mask), backgroundPart(latent, mask)];
    for (const [index, part] of parts.entries()) {
      const [alone] = (await model.embedParts(part, null, ['whole']))!;
      const differences = alone!.map((value, at) => Math.abs(value - together[index]![at]!));
      expect(Math.max(...differences)).toBeLessThan(1e-5);
    }
    expect(together[0]).not.toEqual(together[1]);
  });

  it('makes the same bytes of the same seed', async () => {
    // Prepare
    const plan = planFor('miss', [], { steps: 2, fullSteps: 2 });

    // Act
    const [one, again] = [
      await generate(new MemoryObjects(), plan),
      await generate(new MemoryObjects(), plan),
    ];

    // Assess
    expect(again.videoKey).toBe(one.videoKey);
    expect(again.latentSha256).toBe(one.latentSha256);
  });

  it('goes on from a checkpoint to the very same bytes', async () => {
    // Prepare
    const plan = planFor('miss', [], { steps: 3, fullSteps: 3 });
    const uninterrupted = await generate(new MemoryObjects(), plan);
    const objects = new MemoryObjects();
    const stopped = new RecordingControl();
    stopped.stopWhen = () => (stopped.percents.length === 2 ? 'shutdown' : null);
    await expect(generate(objects, plan, stopped)).rejects.toMatchObject({ code: 'cancelled' });

    // Act
    const resumed = await generate(objects, plan);

    // Assess
    expect(resumed.stepsHere).toBe(1);
    expect(resumed.videoKey).toBe(uninterrupted.videoKey);
    expect(resumed.latentSha256).toBe(uninterrupted.latentSha256);
    expect(resumed.work.networkEvaluations).toBe(1);
  });

  it('gives each latent of a batch the velocity that it has alone', async () => {
    // Prepare
    const prompts = ['a red ball', 'a blue cube on a beach at night', ''];
    const requests = await Promise.all(
      prompts.map(async (prompt, index) => ({
        latent: standardNormalNoise(LATENT_SHAPE, index, 'test'),
        time: 1 - 0.3 * index,
        condition: await model.encodeText(prompt),
      })),
    );
    const free = await model.encodeText('');

    // Act
    const together = await model.velocities(requests, free, 3);

    // Assess
    for (const [row, { latent, time, condition }] of requests.entries()) {
      const alone = await model.velocity(latent, time, condition, free, 3);
      expect(relativeDistance(together[row]!.data, alone.data)).toBeLessThan(1e-4);
    }
    expect(await model.velocities([], free, 3)).toEqual([]);
  });

  it('holds the background of a donor, alone and in a batch', async () => {
    // Prepare
    const latentShape = LATENT_SHAPE;
    const background = standardNormalNoise(latentShape, 3, 'background');
    const donors = { object: null, background };
    const plan = planFor('background', [], {
      anchor: 'background',
      solver: 'ab2',
      startTime: 0.95,
      steps: 3,
    });
    const prompt = 'a large red ball';
    const options = { latentShape, prompt, guidance: 3 };
    let stopped: SamplingStoppedError | null = null;
    let asked = 0;

    // Act
    const alone = await sample(model, plan, donors, options);
    const run = new SampleRun(plan, { latentShape, donors });
    const [together] = await sampleBatch(model, [{ run, prompt }], { guidance: 3, batch: 4 });
    await sample(model, plan, donors, { ...options, shouldStop: () => asked++ === 2 }).catch(
      (error: unknown) => {
        stopped = error as SamplingStoppedError;
      },
    );

    // Assess: after the second step all but the dilated object is the donor at that time.
    expect(relativeDistance(together!.data, alone.data)).toBeLessThan(1e-4);
    const { latent, inside } = (stopped as SamplingStoppedError | null)!.state;
    const noise = standardNormalNoise(latentShape, plan.seed, 'start');
    const donor = renoise(background, noiseLevels(0.95, 3)[2]!, noise);
    const share = inside!.data.reduce((sum, value) => sum + value, 0) / inside!.data.length;
    expect(share).toBeGreaterThan(0);
    expect(share).toBeLessThan(0.9);
    for (const [index, value] of donor.data.entries()) {
      if (inside!.data[index % inside!.data.length] === 0) expect(latent.data[index]).toBe(value);
    }
  });

  it('denoises the region of the object over a background, and goes on to the very same bytes', async () => {
    // Prepare
    const objects = new MemoryObjects();
    const { latentKey } = await generate(objects, planFor('miss', [], { steps: 3, fullSteps: 3 }));
    const plan = planFor('background', [donorFor('background', latentKey!)], {
      anchor: 'region',
      solver: 'ab2',
      startTime: 0.95,
      steps: 4,
      seed: 8,
    });
    const stopped = new RecordingControl();
    stopped.stopWhen = () => (stopped.percents.length === 3 ? 'shutdown' : null);

    // Act
    const whole = await generate(objects, plan);
    await expect(generate(objects, plan, stopped)).rejects.toMatchObject({ code: 'cancelled' });
    const resumed = await generate(objects, plan);

    // Assess: a region begins again with the evaluation that finds it, the second.
    expect(whole).toMatchObject({ hit: 'background', stepsRun: 4 });
    expect(whole.equivalentsRun).toBeGreaterThan(2);
    expect(whole.equivalentsRun).toBeLessThan(4);
    expect(whole.work.evaluationEquivalents).toBe(whole.equivalentsRun);
    expect(resumed.stepsHere).toBe(3);
    expect(resumed.equivalentsRun).toBe(whole.equivalentsRun);
    expect(resumed.latentSha256).toBe(whole.latentSha256);
  });

  it('guides: the velocity moves away from the unconditional one in proportion', async () => {
    // Prepare
    const latent = standardNormalNoise(LATENT_SHAPE, 1, 'test');
    const [text, free] = [await model.encodeText('a red ball'), await model.encodeText('')];

    // Act
    const [conditional, unconditional, guided] = [
      await model.velocity(latent, 0.7, text, free, 1),
      await model.velocity(latent, 0.7, free, free, 1),
      await model.velocity(latent, 0.7, text, free, 3),
    ];

    // Assess
    const worst = guided.data.reduce((most, value, i) => {
      const [c, u] = [conditional.data[i]!, unconditional.data[i]!];
      return Math.max(most, Math.abs(value - (u + 3 * (c - u))));
    }, 0);
    expect(worst).toBeLessThan(1e-3);
  });

  it('leaves the event loop free while a network runs', async () => {
    // Prepare
    const latent = standardNormalNoise(LATENT_SHAPE, 1, 'test');
    await model.decode(latent);
    let ticks = 0;
    const timer = setInterval(() => ticks++, 5);

    // Act
    await model.decode(latent);
    clearInterval(timer);

    // Assess: a decode takes hundreds of milliseconds on two cores.
    expect(ticks).toBeGreaterThan(3);
  });

  it('encodes what it decoded to a latent of the same shape', async () => {
    const video = await model.decode(standardNormalNoise(LATENT_SHAPE, 1, 'test'));

    expect(video.shape).toEqual([16, 3, 128, 128]);
    expect((await model.encode(video)).shape).toEqual(LATENT_SHAPE);
  });

  it.each([true, false])('embeds text to a unit vector, in a thread: %s', async (inThread) => {
    // Prepare
    const embedder = await OnnxTextEmbedder.open(modelPackage, { inThread });

    // Act
    const { vector, partLogits } = await embedder.embedText('a red ball 🐉 over a meadow');
    await embedder.close();

    // Assess
    expect(length([...vector])).toBeCloseTo(1, 3);
    expect(partLogits.shape).toEqual([32, 3]);
  });

  it('judges every attribute of a latent', async () => {
    // Prepare
    const judge = OnnxJudge.open(modelPackage);
    const { attributes } = modelPackage.manifest.judge!;

    // Act
    const { values, features } = await judge.judge(standardNormalNoise(LATENT_SHAPE, 1, 'test'));
    await judge.close();

    // Assess
    expect(values).toHaveLength(attributes.length);
    for (const [index, value] of values.entries()) {
      expect(value).toBeGreaterThanOrEqual(0);
      expect(value).toBeLessThan(attributes[index]!.values.length);
    }
    expect(features.length).toBeGreaterThan(0);
  });
});
