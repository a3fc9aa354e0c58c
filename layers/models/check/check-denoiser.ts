import { timesAfterFirst } from '#core/latents/first-frame.ts';
import { maskOfAttention } from '#core/latents/object-map.ts';
import { contextTokens, placeRegion } from '#core/latents/region.ts';
import type { AttendedTensor, Tensor } from '#core/latents/tensor.ts';
import type { ModelManifest } from '../manifest.ts';
import type { TextCondition, VelocityRequest } from '../model.ts';
import { objectMaskOf } from '../object-mask.ts';
import { OnnxDenoiser, type OnnxRegionDenoiser } from '../onnx-denoiser.ts';
import type { NetworkRunner } from '../onnx-networks.ts';
import { latentShape } from '../onnx-video-model.ts';
import { corruptNetwork, EXPORT_AGAIN } from './compare-signatures.ts';
import { attempt, failed, remark, type Finding } from './finding.ts';
import {
  firstTokenMarked,
  relativeDifference,
  requireSoundValues,
  sampleNoise,
} from './network-run.ts';

const TIME = 0.7;
/** Beyond it a run that is repeated, or goes on after its checkpoint, ends in another video. */
const REPEAT_TOLERANCE = 1e-3;
/** Of a region's velocity and that of all tokens: the same sums, taken in another order. */
const REGION_TOLERANCE = 0.02;

/**
 * Checks what the sampler asks of a denoiser beyond its signature: that the same input gives the same velocity,
 * that guidance and prompt change it, and that a region has the velocity that it has among all tokens.
 *
 * @param conditions of a prompt, and of the negative prompt
 */
export async function checkDenoiser(
  networks: NetworkRunner,
  manifest: ModelManifest,
  [condition, unconditional]: readonly [TextCondition, TextCondition],
): Promise<Finding[]> {
  const denoiser = new OnnxDenoiser(networks, manifest);
  const { guidance } = manifest.scheduler;
  const request = { latent: sampleNoise(latentShape(manifest), 0), time: TIME, condition };
  const velocityOf = async (asked: VelocityRequest, by: number): Promise<AttendedTensor> => {
    const [velocity] = await denoiser.velocities([asked], unconditional, by);
    requireSoundValues('denoiser', 'velocity', velocity!);
    return velocity!;
  };
  let plain: Tensor;
  let again: Tensor;
  try {
    plain = await velocityOf(request, 1);
    again = await velocityOf(request, 1);
  } catch (error) {
    return [failed('denoiser repeats', error, EXPORT_AGAIN)];
  }
  const findings = [
    await attempt('denoiser repeats', async () => describeRepetition(plain, again)),
    await attempt('guidance', async () => {
      const free = await velocityOf({ ...request, condition: unconditional }, 1);
      const guided = guidance === 1 ? plain : await velocityOf(request, guidance);
      return describeGuidance(manifest, plain, free, guided);
    }),
  ];
  if (objectMaskOf(manifest)?.source === 'attention') {
    findings.push(
      await attempt('object map', async () => {
        const tokens = condition.objectTokens ?? firstTokenMarked([condition.mask.length]);
        const mapOf = async (objectTokens: Float32Array): Promise<Tensor> => {
          const asked = { ...request, condition: { ...condition, objectTokens } };
          const { objectMap } = await velocityOf(asked, 1);
          requireSoundValues('denoiser', 'object_map', objectMap!);
          return objectMap!;
        };
        const others = tokens.map((mark, token) => (condition.mask[token] === 1n ? 1 - mark : 0));
        return describeObjectMap(await mapOf(tokens), await mapOf(others));
      }),
    );
  }
  if (manifest.files.imageEncoder !== undefined) {
    const time = timesAfterFirst(TIME, manifest.latent.frames);
    findings.push(
      await attempt('first image', async () =>
        describeFirstFrame(plain, await velocityOf({ ...request, time }, 1)),
      ),
    );
  }
  const { regions } = denoiser;
  findings.push(
    regions === null
      ? remark('regions', 'the denoiser takes whole latents only: no hit denoises an object alone')
      : await attempt('regions', () => describeRegion(regions, request, unconditional, manifest)),
  );
  return findings;
}

/** @throws FlexCacheError `model_corrupt` where the second run of the same input gave something else. */
function describeRepetition(one: Tensor, other: Tensor): string {
  const difference = relativeDifference(one.data, other.data);
  if (difference === 0) return 'the same input gives the same bits';
  if (difference <= REPEAT_TOLERANCE) {
    return `the same input gives the same velocity to ${difference.toPrecision(2)} of its largest value, not to the bit`;
  }
  throw corruptNetwork(
    'denoiser',
    `the denoiser gave two velocities for the same input, which differ by ${difference.toPrecision(2)} of the largest value`,
    'export the network again in evaluation mode, without dropout or noise of its own',
  );
}

/** @throws FlexCacheError `model_corrupt` where the text changes nothing, or guidance does not. */
function describeGuidance(
  { scheduler, text }: ModelManifest,
  plain: Tensor,
  free: Tensor,
  guided: Tensor,
): string {
  const effect = relativeDifference(plain.data, free.data);
  if (effect === 0) {
    throw corruptNetwork(
      'denoiser',
      'the denoiser gave the same velocity for a prompt and for the negative prompt',
      'export the network again so that text_states and text_mask are read',
    );
  }
  const negative = text.negativePrompt === '' ? 'the empty prompt' : 'the negative prompt';
  const share = `the prompt changes the velocity by ${effect.toPrecision(2)} of its largest value`;
  if (scheduler.guidance === 1) return `none (1): ${negative} is not used; ${share}`;
  const gain = relativeDifference(guided.data, plain.data);
  return `${scheduler.guidance} away from ${negative} changes it by ${gain.toPrecision(2)}; ${share}`;
}

/**
 * @param map with the tokens of the object marked
 * @param other with all others marked
 * @throws FlexCacheError `model_corrupt` where the marks change nothing, or the map tells no place.
 */
function describeObjectMap(map: Tensor, other: Tensor): string {
  if (relativeDifference(map.data, other.data) === 0) {
    throw corruptNetwork(
      'denoiser',
      'the denoiser gave the same object_map whichever tokens were marked',
      'export the network again so that object_tokens is read',
    );
  }
  const { data } = maskOfAttention(map, { dilation: 0 });
  const share = data.reduce((sum, value) => sum + value, 0) / data.length;
  if (share === 0) {
    throw corruptNetwork(
      'denoiser',
      'the denoiser gave an object_map that is the same everywhere',
      'export the network again with the attention of each latent position',
    );
  }
  return `the words of the object are attended to above the threshold in ${(100 * share).toFixed(0)} % of noise`;
}

/** @throws FlexCacheError `model_corrupt` where the time of the first frame changes nothing. */
function describeFirstFrame(plain: Tensor, held: Tensor): string {
  const effect = relativeDifference(plain.data, held.data);
  if (effect === 0) {
    throw corruptNetwork(
      'denoiser',
      'the denoiser gave the same velocity whether the first latent frame is clean or noise',
      'export the network again so that the time of each latent frame is read',
    );
  }
  return `the time of the first latent frame changes the velocity by ${effect.toPrecision(2)} of its largest value`;
}

/** @throws FlexCacheError `model_corrupt` where a region has another velocity than among all tokens. */
async function describeRegion(
  regions: OnnxRegionDenoiser,
  request: VelocityRequest,
  unconditional: TextCondition,
  { scheduler, latent }: ModelManifest,
): Promise<string> {
  const { guidance } = scheduler;
  const grid = [latent.frames, latent.height, latent.width];
  const rows = latent.frames * latent.height;
  // The upper half of every frame.
  const place = Float32Array.from({ length: rows * latent.width }, (_, position) =>
    Math.floor(position / latent.width) % latent.height < latent.height / 2 ? 1 : 0,
  );
  const region = placeRegion({ data: place, shape: grid }, regions.patch);
  const outside = contextTokens(region);
  const { velocity: full, context } = await regions.velocityAndContext(
    request,
    unconditional,
    guidance,
  );
  const weights = region.weights.data;
  const expected = full.data.map((value, index) => value * weights[index % weights.length]!);
  try {
    await context.restrict(outside);
    const velocity = await context.velocity(request, region.tokens, unconditional, guidance);
    requireSameRegion(expected, velocity.data);
  } finally {
    await context.release();
  }
  if (!regions.isTrained) {
    return `${region.tokens.length} of ${region.total} tokens alone have the velocity that they have among all; not trained for a clean context`;
  }
  const clean = await regions.cleanContext(request.latent, outside, unconditional, guidance);
  try {
    const velocity = await clean.velocity(request, region.tokens, unconditional, guidance);
    requireSoundValues('denoiser', 'velocity', velocity);
  } finally {
    await clean.release();
  }
  return `${region.tokens.length} of ${region.total} tokens alone have the velocity that they have among all; a clean context is read, too`;
}

function requireSameRegion(expected: Float32Array, found: Float32Array): void {
  const difference = relativeDifference(expected, found);
  if (difference <= REGION_TOLERANCE) return;
  throw corruptNetwork(
    'denoiser',
    `tokens of a region have another velocity alone than among all: they differ by ${difference.toPrecision(2)} of the largest value`,
    'export the denoiser again with regions as docs/architecture.md describes them, or remove regions from model.json',
  );
}
