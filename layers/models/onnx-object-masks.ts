import { averageToLatent } from '#core/latents/area-average.ts';
import { grow } from '#core/latents/compose.ts';
import { FlexCacheError } from '#core/errors.ts';
import { maskOfAttention, maskOfLikelihood } from '#core/latents/object-map.ts';
import { elementCount, type AttendedTensor, type Tensor } from '#core/latents/tensor.ts';
import { concatenate } from './concatenate.ts';
import { decodeVideo } from './decode-video.ts';
import type { ModelManifest } from './manifest.ts';
import { asBatch, callNetwork, withoutBatch } from './network-call.ts';
import { objectMaskOf, type ObjectMask } from './object-mask.ts';
import type { NetworkRunner } from './onnx-networks.ts';

/** Finds the objects of latents as a package does it (`objectMaskOf`). */
export class OnnxObjectMasks {
  readonly #networks: NetworkRunner;
  readonly #manifest: ModelManifest;
  readonly #objectMask: ObjectMask | null;

  constructor(networks: NetworkRunner, manifest: ModelManifest) {
    this.#networks = networks;
    this.#manifest = manifest;
    this.#objectMask = objectMaskOf(manifest);
  }

  /**
   * Binary object masks `[T, H, W]` of clean latents of one shape, in their order; none where the package finds no
   * objects.
   *
   * @param decoded the video of each; where videos are needed they are decoded here unless given
   * @throws FlexCacheError `internal` where masks are read from attention and a latent has no object map.
   */
  async masksOf(
    latents: readonly AttendedTensor[],
    decoded?: (index: number) => Promise<Tensor>,
  ): Promise<Tensor[]> {
    const objectMask = this.#objectMask;
    if (objectMask === null || latents.length === 0) return [];
    switch (objectMask.source) {
      case 'attention':
        return latents.map((latent) => maskOfAttention(mapOf(latent), objectMask));
      case 'segmenter':
        return (await this.#segment(latents)).map((mask) => grow(mask, objectMask.dilation));
      case 'frames': {
        // One after the other: the frames of a video may be hundreds of megabytes.
        const masks: Tensor[] = [];
        for (const [index, latent] of latents.entries()) {
          const video = await (decoded?.(index) ??
            decodeVideo(this.#networks, this.#manifest, latent));
          masks.push(await this.#segmentFrames(video, objectMask));
        }
        return masks;
      }
    }
  }

  async #segmentFrames(video: Tensor, { extents, ...reading }: ObjectMask): Promise<Tensor> {
    const { latent } = this.#manifest;
    const grid = [latent.frames, latent.height, latent.width];
    const [frames, , height, width] = video.shape;
    const mask = await callNetwork(
      this.#networks,
      'frameSegmenter',
      { video: asBatch(video) },
      'mask',
      [1, ...(extents === 'latent' ? grid : [frames!, height!, width!])],
    );
    return maskOfLikelihood(averageToLatent(withoutBatch(mask), grid), reading);
  }

  async #segment(latents: readonly Tensor[]): Promise<Tensor[]> {
    const [channels, ...shape] = latents[0]!.shape;
    const logits = await callNetwork(
      this.#networks,
      'segmenter',
      {
        latent: {
          data: concatenate(latents.map(({ data }) => data)),
          shape: [latents.length, channels!, ...shape],
        },
      },
      'mask_logits',
      [latents.length, ...shape],
    );
    const positions = elementCount(shape);
    return latents.map((_, row) => ({
      data: logits.data
        .subarray(row * positions, (row + 1) * positions)
        .map((logit) => (logit > 0 ? 1 : 0)),
      shape,
    }));
  }
}

function mapOf({ objectMap }: AttendedTensor): Tensor {
  if (objectMap !== undefined) return objectMap;
  throw new FlexCacheError(
    'internal',
    'the object of a latent was asked for that has no object map: masks of this package are read from the attention of its denoiser',
  );
}
