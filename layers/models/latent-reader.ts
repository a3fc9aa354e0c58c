import { FlexCacheError } from '#core/errors.ts';
import { judgements, logitCount } from '#core/planning/shown-attributes.ts';
import type { AttendedTensor, Tensor } from '#core/latents/tensor.ts';
import { networkPaths, type ModelManifest, type ModelPackage } from './manifest.ts';
import { pickOutput } from './network-call.ts';
import { NetworkThread } from './network-thread.ts';
import type { NetworkRunner, OnnxOptions } from './onnx-networks.ts';
import { OnnxObjectMasks } from './onnx-object-masks.ts';
import { OnnxVideoVectors, type VideoParts } from './onnx-video-vectors.ts';

/** What a package's judge says of one latent. */
export interface Judgement {
  /** Of all values of all attributes, in the manifest's order. */
  logits: Float32Array;
  /** Index of the most probable value by attribute. */
  values: number[];
  /** For Frechet distances. */
  features: Float32Array;
}

const LOOKING_NETWORKS = [
  'segmenter',
  'frameSegmenter',
  'videoTower',
  'imageTower',
  'judge',
  // Of those that look at frames.
  'vaeDecoder',
] as const;

/**
 * The networks of a package that look at finished latents, for many latents at once and in a thread
 * of their own: measuring goes on beside denoising.
 */
export class LatentReader {
  readonly #networks: NetworkRunner;
  readonly #manifest: ModelManifest;
  readonly #masks: OnnxObjectMasks;
  readonly #vectors: OnnxVideoVectors;

  constructor(networks: NetworkRunner, manifest: ModelManifest) {
    this.#networks = networks;
    this.#manifest = manifest;
    this.#masks = new OnnxObjectMasks(networks, manifest);
    this.#vectors = new OnnxVideoVectors(networks, manifest);
  }

  static open(modelPackage: ModelPackage, options: OnnxOptions = {}): LatentReader {
    const all = networkPaths(modelPackage);
    const paths = Object.fromEntries(
      LOOKING_NETWORKS.flatMap((name) => (all[name] === undefined ? [] : [[name, all[name]]])),
    );
    return new LatentReader(new NetworkThread(paths, options), modelPackage.manifest);
  }

  /** Whether `judge` has something to say. */
  get hasJudge(): boolean {
    return this.#manifest.judge !== undefined && this.#manifest.files.judge !== undefined;
  }

  /** Unit vectors of whole videos, as `embedParts` has them. */
  embed(latents: readonly Tensor[]): Promise<Float32Array[]> {
    return this.embedParts(latents.map((latent) => ({ latent, mask: null, parts: ['whole'] })));
  }

  /**
   * Unit vectors in the space of the package's prompts: of all parts of the first video, then of the next.
   *
   * @throws FlexCacheError `model_missing` when the package makes no vectors of videos.
   */
  async embedParts(videos: readonly VideoParts[]): Promise<Float32Array[]> {
    const vectors = await this.#vectors.vectorsOf(videos);
    if (vectors !== null) return vectors;
    throw new FlexCacheError('model_missing', 'the model package makes no vectors of videos', {
      field: 'videoVectors',
      fix: 'use a package with a video tower, or one whose videoVectors says what looks at videos',
    });
  }

  /**
   * Binary object masks `[T, H, W]`.
   *
   * @param latents with their object maps where masks are read from attention
   * @throws FlexCacheError `model_missing` when the package finds no objects.
   */
  async segment(latents: readonly AttendedTensor[]): Promise<Tensor[]> {
    const masks = await this.#masks.masksOf(latents);
    if (masks.length === latents.length) return masks;
    throw new FlexCacheError('model_missing', 'the model package finds no objects in videos', {
      field: 'objectMask',
      fix: 'use a package with a segmenter, or one whose objectMask says what finds them',
    });
  }

  /** @throws FlexCacheError `model_missing` when the package brings no judge. */
  async judge(latents: readonly Tensor[]): Promise<Judgement[]> {
    if (latents.length === 0) return [];
    const attributes = this.#manifest.judge?.attributes ?? [];
    const outputs = await this.#networks.run('judge', { latent: stack(latents) });
    const shape = [latents.length, logitCount(attributes)];
    const logits = rowsOf(pickOutput(outputs, 'judge', 'logits', shape));
    const width = outputs['features']?.shape[1] ?? 0;
    const features = rowsOf(pickOutput(outputs, 'judge', 'features', [latents.length, width]));
    return logits.map((row, index) => ({
      logits: row,
      values: judgements(attributes, row).map(({ value }) => value),
      features: features[index]!,
    }));
  }

  close(): Promise<void> {
    return this.#networks.close();
  }
}

/** Latents of one shape as a batch. */
function stack(latents: readonly Tensor[]): Tensor {
  const { shape } = latents[0]!;
  const length = latents[0]!.data.length;
  const data = new Float32Array(length * latents.length);
  for (const [index, latent] of latents.entries()) data.set(latent.data, index * length);
  return { data, shape: [latents.length, ...shape] };
}

function rowsOf({ data, shape }: Tensor): Float32Array[] {
  const length = data.length / shape[0]!;
  return Array.from({ length: shape[0]! }, (_, row) =>
    data.slice(row * length, (row + 1) * length),
  );
}
