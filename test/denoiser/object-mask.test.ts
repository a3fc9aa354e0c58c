import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { decodeLatent } from '#codec/decode-latent.ts';
import { dilate, grow } from '#core/latents/compose.ts';
import type { Plan } from '#core/generation.ts';
import { compatibilityKey, checkpointObjectKey } from '#core/requests/identity.ts';
import { standardNormalNoise } from '#core/latents/noise.ts';
import { generateVideo } from '#denoiser/generate-video.ts';
import { compatibilityOf, loadManifest, type ModelPackage } from '#models/manifest.ts';
import { OnnxVideoModel } from '#models/onnx-video-model.ts';
import { defaultCalibration } from '#models/package-calibration.ts';
import {
  findInFrames,
  TINY_LATENT,
  TINY_PLACE,
  writeTinyPackage,
  type TinyChange,
} from '../models/tiny-package.ts';
import {
  MemoryObjects,
  planFor,
  RecordingControl,
  requestFor,
  VIDEO_ID,
  donorFor,
} from './fakes.ts';

const STEPS = 4;
const REQUEST = requestFor('a red ball over the meadow');

let modelPackage: ModelPackage;
let model: OnnxVideoModel;
let objects: MemoryObjects;

async function open(change?: TinyChange): Promise<void> {
  modelPackage = await loadManifest(await writeTinyPackage(change));
  model = await OnnxVideoModel.open(modelPackage);
  objects = new MemoryObjects();
}

afterEach(() => model.close());

/** One worker; it is shut down after so many steps of its own. */
async function work(plan: Plan, stopAfter = Infinity) {
  const control = new RecordingControl();
  control.stopWhen = () => (control.percents.length === stopAfter ? 'shutdown' : null);
  const dependencies = {
    model,
    manifest: modelPackage.manifest,
    calibration: defaultCalibration(modelPackage),
    compatibilityKey: compatibilityKey(compatibilityOf(modelPackage)),
    objects,
  };
  const video = await generateVideo(dependencies, REQUEST, plan, control).catch(() => null);
  return { video, checkpoints: control.checkpoints };
}

function maskOf(latentKey: string | null | undefined) {
  const key = compatibilityKey(compatibilityOf(modelPackage));
  return decodeLatent(objects.bodies.get(latentKey!)!, { compatibilityKey: key }).dilatedMask;
}

describe('an object mask that is read from attention', () => {
  beforeEach(() => open());

  it('is where the denoiser attends to the words of the object', async () => {
    const { video } = await work(planFor('miss', [], { steps: STEPS }));

    expect(maskOf(video!.latentKey)).toEqual(dilate(TINY_PLACE));
    expect(video!.describedByPrompt).toEqual(['whole', 'object', 'background']);
  });

  it('marks no token where the prompt names no object', async () => {
    const { objectTokens } = await model.encodeText('in the desert');

    expect(objectTokens).toEqual(new Float32Array(16));
  });

  it('has a map of each of several requests, with guidance and without', async () => {
    const shape = [...TINY_LATENT];
    const free = await model.encodeText(null);
    const requests = await Promise.all(
      ['a red ball over the meadow', 'in the desert', 'the desert over a blue star'].map(
        async (prompt, seed) => ({
          latent: standardNormalNoise(shape, seed, 'x'),
          time: 0.5,
          condition: await model.encodeText(prompt),
        }),
      ),
    );

    for (const guidance of [1, 2]) {
      const together = await model.velocities(requests, free, guidance);
      for (const [index, { latent, time, condition }] of requests.entries()) {
        const alone = await model.velocity(latent, time, condition, free, guidance);
        const differences = alone.objectMap!.data.map((value, position) =>
          Math.abs(value - together[index]!.objectMap!.data[position]!),
        );
        expect(alone.objectMap!.shape).toEqual(TINY_PLACE.shape);
        expect(Math.max(...differences)).toBeLessThan(1e-5);
      }
      // Nothing is marked of a prompt without an object.
      expect(Math.max(...together[1]!.objectMap!.data)).toBe(0);
    }
  });

  it('is the same, to the bit, when the video is finished by another worker', async () => {
    // Prepare
    const plan = planFor('miss', [], { steps: STEPS });
    const whole = await work(plan);

    for (const stopAfter of [1, 2, 3, STEPS]) {
      // Act
      objects = new MemoryObjects();
      const first = await work(plan, stopAfter);
      const left = objects.bodies.get(checkpointObjectKey(VIDEO_ID));
      const second = await work(plan);

      // Assess: the key has the hash of latent and mask.
      expect(first.video).toBeNull();
      expect(left!.length).toBeGreaterThan(4 * 256 * (TINY_LATENT[0] + 1));
      expect(second.checkpoints).toMatchObject([{ event: 'resumed', stepsDone: stopAfter }]);
      expect(second.video!.latentKey).toBe(whole.video!.latentKey);
    }
  });

  it('is found on the way, for a plan that holds the background', async () => {
    // Prepare
    const { video: donor } = await work(planFor('miss', [], { steps: STEPS }));
    const plan = planFor('background', [donorFor('background', donor!.latentKey!)], {
      anchor: 'background',
      steps: 5,
    });

    // Act
    const { video } = await work(plan);

    // Assess
    expect(maskOf(video!.latentKey)).toEqual(dilate(TINY_PLACE));
  });
});

describe('an object mask that is found in decoded frames', () => {
  it.each(['pixels', 'latent'] as const)(
    'is where a network sees the object, its mask of the extents %s',
    async (extents) => {
      // Prepare
      await open(findInFrames(extents));
      const decode = vi.spyOn(model, 'decode');

      // Act
      const { video } = await work(planFor('miss', [], { steps: STEPS }));

      // Assess: the frames of the finished video are those that the network sees.
      expect(maskOf(video!.latentKey)).toEqual(dilate(TINY_PLACE));
      expect(decode).toHaveBeenCalledTimes(1);
    },
  );

  it('is found on the way, for a plan that holds the background, and grows by its dilation', async () => {
    // Prepare
    await open(findInFrames('pixels', 1));
    const { video: donor } = await work(planFor('miss', [], { steps: STEPS }));
    const donors = [donorFor('background', donor!.latentKey!)];

    // Act
    const { video } = await work(planFor('background', donors, { anchor: 'background', steps: 5 }));

    // Assess
    expect(maskOf(donor!.latentKey)).toEqual(grow(TINY_PLACE, 2));
    expect(maskOf(video!.latentKey)).toEqual(grow(TINY_PLACE, 2));
  });
});
