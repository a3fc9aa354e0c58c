import {
  judgements,
  logitCount,
  shownAttributes,
  type JudgedAttribute,
  type ShownAttributes,
} from '#core/planning/shown-attributes.ts';
import { elementCount, type Tensor } from '#core/latents/tensor.ts';
import { networkPaths, type ModelPackage, type NetworkName } from '#models/manifest.ts';
import { pickOutput } from '#models/network-call.ts';
import { NetworkThread } from '#models/network-thread.ts';
import type { NetworkTensors, OnnxOptions } from '#models/onnx-networks.ts';

/** What a judge says of a latent. */
export interface Judgement {
  /** Index of the recognised value by attribute, in the manifest's order. */
  values: number[];
  /** What it is sure of. */
  shown: ShownAttributes;
  /** Probability of every value of every attribute, in the manifest's order. */
  probabilities: Float32Array;
  /** For Frechet distances. */
  features: Float32Array;
}

/** Rows of one network call. */
const ROWS = 32;

/**
 * The small networks of a package, many latents in one call: a replay describes and judges every video, and one call
 * for each would take longer than the denoising.
 */
export class LatentNetworks {
  readonly #networks: NetworkThread;
  readonly #modelPackage: ModelPackage;

  constructor(modelPackage: ModelPackage, options: OnnxOptions) {
    this.#modelPackage = modelPackage;
    this.#networks = new NetworkThread(networkPaths(modelPackage), options);
  }

  /** Binary object masks `[T, H, W]`. */
  async segment(latents: readonly Tensor[]): Promise<Tensor[]> {
    const { frames, height, width } = this.#modelPackage.manifest.latent;
    const shape = [frames, height, width];
    const rows = await this.#rows('segmenter', latents, 'mask_logits', shape);
    return rows.map((logits) => ({ data: logits.map((logit) => (logit > 0 ? 1 : 0)), shape }));
  }

  /** Unit vectors in the space of the text tower. */
  async embed(latents: readonly Tensor[]): Promise<Float32Array[]> {
    const { dimensions } = this.#modelPackage.manifest.embedding;
    return this.#rows('videoTower', latents, 'embedding', [dimensions]);
  }

  async judge(latents: readonly Tensor[]): Promise<Judgement[]> {
    const attributes = this.#modelPackage.manifest.judge?.attributes ?? [];
    const judged: Judgement[] = [];
    for await (const { outputs, count } of this.#calls('judge', latents)) {
      const width = outputs['features']?.shape[1] ?? 0;
      const logits = pickOutput(outputs, 'judge', 'logits', [count, logitCount(attributes)]);
      const features = pickOutput(outputs, 'judge', 'features', [count, width]);
      for (let row = 0; row < count; row++) {
        const own = rowOf(logits, row);
        judged.push({
          values: judgements(attributes, own).map(({ value }) => value),
          shown: shownAttributes(attributes, own),
          probabilities: probabilitiesOf(attributes, own),
          features: rowOf(features, row),
        });
      }
    }
    return judged;
  }

  close(): Promise<void> {
    return this.#networks.close();
  }

  async #rows(
    network: NetworkName,
    latents: readonly Tensor[],
    output: string,
    shape: readonly number[],
  ): Promise<Float32Array[]> {
    const rows: Float32Array[] = [];
    for await (const { outputs, count } of this.#calls(network, latents)) {
      const tensor = pickOutput(outputs, network, output, [count, ...shape]);
      for (let row = 0; row < count; row++) rows.push(rowOf(tensor, row));
    }
    return rows;
  }

  async *#calls(
    network: NetworkName,
    latents: readonly Tensor[],
  ): AsyncIterable<{ outputs: NetworkTensors; count: number }> {
    for (let start = 0; start < latents.length; start += ROWS) {
      const chunk = latents.slice(start, start + ROWS);
      const { shape } = chunk[0]!;
      const data = new Float32Array(chunk.length * elementCount(shape));
      for (const [row, latent] of chunk.entries()) data.set(latent.data, row * latent.data.length);
      const inputs = { latent: { data, shape: [chunk.length, ...shape] } };
      yield { outputs: await this.#networks.run(network, inputs), count: chunk.length };
    }
  }
}

/** Softmax over the values of each attribute. */
function probabilitiesOf(
  attributes: readonly JudgedAttribute[],
  logits: Float32Array,
): Float32Array {
  const probabilities = new Float32Array(logits.length);
  let offset = 0;
  for (const { values } of attributes) {
    const own = logits.subarray(offset, offset + values.length);
    const largest = Math.max(...own);
    const exponentials = own.map((logit) => Math.exp(logit - largest));
    const sum = exponentials.reduce((total, value) => total + value, 0);
    probabilities.set(
      exponentials.map((value) => value / sum),
      offset,
    );
    offset += values.length;
  }
  return probabilities;
}

function rowOf({ data, shape }: Tensor, row: number): Float32Array {
  const length = data.length / shape[0]!;
  return data.slice(row * length, (row + 1) * length);
}
