import { grow } from '#core/compose.ts';
import { FlexCacheError } from '#core/errors.ts';
import { maskOfAttention } from '#core/object-map.ts';
import { elementCount, type AttendedTensor, type Tensor } from '#core/tensor.ts';
import { concatenate } from './concatenate.ts';
import type { ModelManifest } from './manifest.ts';
import { callNetwork } from './network-call.ts';
import { objectMaskOf, type ObjectMask } from './object-mask.ts';
import type { NetworkRunner } from './onnx-networks.ts';

/** Finds the objects of latents as a package does it (`objectMaskOf`). */
export class OnnxObjectMasks {
  readonly #networks: NetworkRunner;
  readonly #objectMask: ObjectMask | null;

  constructor(networks: NetworkRunner, manifest: ModelManifest) {
    this.#networks = networks;
    this.#objectMask = objectMaskOf(manifest);
  }

  /**
   * Binary object masks `[T, H, W]` of clean latents of one shape, in their order; none where the package finds no
   * objects.
   *
   * @throws FlexCacheError `internal` where masks are read from attention and a latent has no object map.
   */
  async masksOf(latents: readonly AttendedTensor[]): Promise<Tensor[]> {
    if (this.#objectMask === null || latents.length === 0) return [];
    const { source, dilation } = this.#objectMask;
    switch (source) {
      case 'attention':
        return latents.map((latent) => maskOfAttention(mapOf(latent), this.#objectMask!));
      case 'segmenter':
        return (await this.#segment(latents)).map((mask) => grow(mask, dilation));
    }
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
