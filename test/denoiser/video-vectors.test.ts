import { afterEach, describe, expect, it, vi } from 'vitest';
import { cosine } from '#core/cosine.ts';
import { dilate } from '#core/latents/compose.ts';
import { LOOKUP_PARTS, type LookupPart } from '#core/generation.ts';
import { compatibilityKey } from '#core/requests/identity.ts';
import { generateVideo } from '#denoiser/generate-video.ts';
import { compatibilityOf, loadManifest, type ModelPackage } from '#models/manifest.ts';
import { OnnxVideoModel } from '#models/onnx-video-model.ts';
import { defaultCalibration } from '#models/package-calibration.ts';
import { openPromptModels } from '#models/prompt-models.ts';
import {
  findInFrames,
  lookAtFrames,
  TINY_PLACE,
  TINY_SAMPLING,
  writeTinyPackage,
} from '../models/tiny-package.ts';
import { MemoryObjects, planFor, RecordingControl, requestFor } from './fakes.ts';

const PROMPT = 'a red ball over the meadow';

let modelPackage: ModelPackage;
let model: OnnxVideoModel;

async function open(change: Parameters<typeof writeTinyPackage>[0]): Promise<void> {
  modelPackage = await loadManifest(await writeTinyPackage(change));
  model = await OnnxVideoModel.open(modelPackage);
}

afterEach(() => model.close());

async function make(prompt: string) {
  const dependencies = {
    model,
    manifest: modelPackage.manifest,
    calibration: defaultCalibration(modelPackage),
    compatibilityKey: compatibilityKey(compatibilityOf(modelPackage)),
    objects: new MemoryObjects(),
  };
  const plan = planFor('miss', [], { steps: 4 });
  return generateVideo(dependencies, requestFor(prompt), plan, new RecordingControl());
}

/** What the tower of a tiny package says of the object or the whole, pixel by pixel. */
function meanColours({ data }: { data: Float32Array }, part: 'whole' | 'object'): number[] {
  const [height, width] = [32, 32];
  const inside = dilate(TINY_PLACE).data;
  const sum = [0, 0, 0];
  for (const frame of [1, 3, 5, 7]) {
    const vector = [0, 0, 0];
    for (let channel = 0; channel < 3; channel++) {
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) {
          const at = (Math.floor(frame / 2) * 8 + Math.floor(y / 4)) * 8 + Math.floor(x / 4);
          if (part === 'object' && inside[at] === 0) continue;
          const value = data[((frame * 3 + channel) * height + y) * width + x]!;
          vector[channel]! += (value - TINY_SAMPLING.mean[channel]!) / TINY_SAMPLING.std[channel]!;
        }
      }
    }
    const shown = vector.map((value) => value / (height * width) + 0.01);
    for (const [channel, value] of shown.entries()) sum[channel]! += value / Math.hypot(...shown);
  }
  const length = Math.hypot(...sum);
  return sum.map((value) => value / length);
}

describe('vectors of videos by an image encoder', () => {
  it('are means over frames that are spread evenly, of the whole and of masked parts', async () => {
    // Prepare
    await open(lookAtFrames);
    const decode = vi.spyOn(model, 'decode');

    // Act
    const { vectors } = await make(PROMPT);

    // Assess
    const video = await decode.mock.results[0]!.value;
    for (const part of ['whole', 'object'] as const) {
      const expected = meanColours(video, part);
      expect(vectors[part]).toHaveLength(3);
      for (const [index, value] of vectors[part]!.entries()) {
        expect(value).toBeCloseTo(expected[index]!, 5);
      }
    }
    expect(decode).toHaveBeenCalledTimes(1);
  });

  it('decode a video once where its object is found in its frames, too', async () => {
    await open((...all) => {
      findInFrames('pixels')(...all);
      lookAtFrames(...all);
    });
    const decode = vi.spyOn(model, 'decode');

    const { vectors } = await make(PROMPT);

    expect(Object.values(vectors).every((vector) => vector?.length === 3)).toBe(true);
    expect(decode).toHaveBeenCalledTimes(1);
  });

  it('tell videos and their parts apart by what prompts ask for', async () => {
    // Prepare
    await open(lookAtFrames);
    const { embedder } = await openPromptModels(modelPackage, { inThread: false });
    const askedFor: Record<LookupPart, [like: string, unlike: string]> = {
      whole: ['a red ball over the meadow', 'a blue ball in the desert'],
      object: ['red ball', 'blue ball'],
      background: ['over the meadow', 'in the desert'],
    };

    // Act
    const { vectors } = await make(PROMPT);

    // Assess
    for (const part of LOOKUP_PARTS) {
      const [like, unlike] = await Promise.all(
        askedFor[part].map(async (text) =>
          cosine(Array.from((await embedder.embedText(text)).vector), vectors[part]!),
        ),
      );
      expect(like).toBeGreaterThan(unlike! + 0.2);
    }
    await embedder.close();
  });
});
