import { backgroundPart, objectPart } from '#core/latents/compose.ts';
import { FlexCacheError } from '#core/errors.ts';
import type { LookupPart } from '#core/generation.ts';
import { partOfFrames, sampleFrames } from '#core/latents/part-frames.ts';
import { elementCount, type Tensor } from '#core/latents/tensor.ts';
import { concatenate } from './concatenate.ts';
import { decodeVideo } from './decode-video.ts';
import type { ModelManifest } from './manifest.ts';
import { callNetwork } from './network-call.ts';
import type { NetworkRunner } from './onnx-networks.ts';
import { videoVectorsOf, type VideoVectors } from './video-vectors.ts';

/** A video, and the parts of it that vectors are wanted of. */
export interface VideoParts {
  /** Clean, `[C, T, H, W]` */
  latent: Tensor;
  /** `[T, H, W]`, object where > 0; null where nothing but the whole is wanted. */
  mask: Tensor | null;
  parts: readonly LookupPart[];
  /** The video `[F, 3, Hp, Wp]` in 0..1; where it is needed it is decoded here unless given. */
  decoded?: (() => Promise<Tensor>) | undefined;
}

type OfFrames = VideoVectors & { source: 'frames' };

/** Makes vectors of videos and their parts as a package does it (`videoVectorsOf`). */
export class OnnxVideoVectors {
  readonly #networks: NetworkRunner;
  readonly #manifest: ModelManifest;
  readonly #videoVectors: VideoVectors | null;

  constructor(networks: NetworkRunner, manifest: ModelManifest) {
    this.#networks = networks;
    this.#manifest = manifest;
    this.#videoVectors = videoVectorsOf(manifest);
  }

  /**
   * Unit vectors in the space of the package's prompts: of all parts of the first video, then of the next. Null where
   * the package makes none.
   */
  async vectorsOf(videos: readonly VideoParts[]): Promise<Float32Array[] | null> {
    const videoVectors = this.#videoVectors;
    if (videoVectors === null) return null;
    if (videos.every(({ parts }) => parts.length === 0)) return [];
    if (videoVectors.source === 'latent') return this.#ofLatents(videos);
    // One after the other: the frames of a video may be hundreds of megabytes.
    const vectors: Float32Array[] = [];
    for (const video of videos) vectors.push(...(await this.#ofFrames(video, videoVectors)));
    return vectors;
  }

  async #ofLatents(videos: readonly VideoParts[]): Promise<Float32Array[]> {
    const latents = videos.flatMap(({ latent, mask, parts }) =>
      parts.map((part) => {
        if (part === 'whole') return latent;
        return part === 'object' ? objectPart(latent, mask!) : backgroundPart(latent, mask!);
      }),
    );
    const input = {
      data: concatenate(latents.map(({ data }) => data)),
      shape: [latents.length, ...latents[0]!.shape],
    };
    const { dimensions } = this.#manifest.embedding;
    const shape = [latents.length, dimensions];
    const { data } = await callNetwork(
      this.#networks,
      'videoTower',
      { latent: input },
      'embedding',
      shape,
    );
    return latents.map((_, row) => data.slice(row * dimensions, (row + 1) * dimensions));
  }

  /** Each frame has a vector of length 1; that of the video is their mean, brought to length 1. */
  async #ofFrames(
    { latent, mask, parts, decoded }: VideoParts,
    videoVectors: OfFrames,
  ): Promise<Float32Array[]> {
    if (parts.length === 0) return [];
    const video = await (decoded?.() ?? decodeVideo(this.#networks, this.#manifest, latent));
    const frames = sampleFrames(video, videoVectors);
    // A call for each part: how many parts there are differs, and a graph may be fixed to a batch.
    const vectors: Float32Array[] = [];
    for (const part of parts) {
      const shown = partOfFrames(frames, mask!, part, videoVectors.mean);
      vectors.push(await this.#ofImages(shown, videoVectors));
    }
    return vectors;
  }

  /** @param frames `[3, N, h, w]` in 0..1 */
  async #ofImages(frames: Tensor, videoVectors: OfFrames): Promise<Float32Array> {
    const [channels, count, height, width] = frames.shape as [number, number, number, number];
    const { dimensions } = this.#manifest.embedding;
    const image = {
      data: imagesOf(frames, videoVectors),
      shape: [count, channels, height, width],
    };
    const { data } = await callNetwork(this.#networks, 'imageTower', { image }, 'vector', [
      count,
      dimensions,
    ]);
    const sum = new Float32Array(dimensions);
    for (let frame = 0; frame < count; frame++) {
      const unit = unitVector(data.subarray(frame * dimensions, (frame + 1) * dimensions));
      for (const [index, value] of unit.entries()) sum[index]! += value;
    }
    return unitVector(sum);
  }
}

/** Frames `[3, N, h, w]` in 0..1 as normalised images `[N, 3, h, w]`. */
function imagesOf({ data, shape }: Tensor, { mean, std }: OfFrames): Float32Array {
  const [, count, height, width] = shape as [number, number, number, number];
  const plane = height * width;
  const images = new Float32Array(elementCount(shape));
  for (let channel = 0; channel < 3; channel++) {
    for (let frame = 0; frame < count; frame++) {
      const source = data.subarray((channel * count + frame) * plane);
      const target = (frame * 3 + channel) * plane;
      for (let index = 0; index < plane; index++) {
        images[target + index] = (source[index]! - mean[channel]!) / std[channel]!;
      }
    }
  }
  return images;
}

function unitVector(vector: Float32Array): Float32Array {
  const length = Math.hypot(...vector);
  if (length > 0) return vector.map((value) => value / length);
  throw new FlexCacheError(
    'model_corrupt',
    `network imageTower gave a vector of length ${length}`,
    {
      field: 'files.imageTower',
      fix: 'export the image encoder again; its vectors have to be finite, and not 0',
    },
  );
}
