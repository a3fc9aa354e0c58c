import { logitCount, shownAttributes, type ShownAttributes } from '#core/shown-attributes.ts';
import { elementCount, type Tensor } from '#core/tensor.ts';
import { asBatch, callNetwork, withoutBatch } from './network-call.ts';
import { networkPaths, type ModelManifest, type ModelPackage } from './manifest.ts';
import type { TextCondition, VideoModel } from './model.ts';
import { NetworkThread } from './network-thread.ts';
import type { NetworkRunner, OnnxOptions } from './onnx-networks.ts';
import { PromptTokenizer } from './tokenizer.ts';

/** Prompts whose text states are kept: a worker sees the unconditional prompt with every video. */
const CACHED_CONDITIONS = 64;

/**
 * The networks of a package that make a video, in a worker thread.
 *
 * @example
 * const model = await OnnxVideoModel.open(await loadManifest(directory), { executionProvider: 'cpu' });
 * const mask = await model.segment(latent);
 * await model.close();
 */
export class OnnxVideoModel implements VideoModel {
  readonly #networks: NetworkRunner;
  readonly #tokenizer: PromptTokenizer;
  readonly #manifest: ModelManifest;
  readonly #latentShape: readonly number[];
  readonly #videoShape: readonly number[];
  readonly #conditions = new Map<string, Promise<TextCondition>>();

  constructor(networks: NetworkRunner, tokenizer: PromptTokenizer, manifest: ModelManifest) {
    this.#networks = networks;
    this.#tokenizer = tokenizer;
    this.#manifest = manifest;
    this.#latentShape = latentShape(manifest);
    const { video } = manifest;
    this.#videoShape = [video.frames, 3, video.height, video.width];
  }

  static async open(
    modelPackage: ModelPackage,
    options: OnnxOptions = {},
  ): Promise<OnnxVideoModel> {
    const tokenizer = await PromptTokenizer.open(modelPackage);
    const networks = new NetworkThread(networkPaths(modelPackage), options);
    return new OnnxVideoModel(networks, tokenizer, modelPackage.manifest);
  }

  /**
   * Loads every network that a generation runs, so that the first video is as fast as the others.
   *
   * @throws FlexCacheError `gpu_missing`, `model_corrupt`
   */
  async warmUp(): Promise<void> {
    const shape = this.#latentShape;
    const latent: Tensor = { data: new Float32Array(elementCount(shape)), shape };
    const unconditional = await this.encodeText('');
    const { guidance } = this.#manifest.scheduler;
    await this.velocity(latent, 1, unconditional, unconditional, guidance);
    await this.decode(latent);
    await this.segment(latent);
    await this.embedVideo(latent);
    await this.recognise(latent);
  }

  encodeText(prompt: string): Promise<TextCondition> {
    let condition = this.#conditions.get(prompt);
    if (condition === undefined) {
      condition = this.#encodeText(prompt);
      condition.catch(() => this.#conditions.delete(prompt));
    }
    // Taken out and put back: the map's order is the order of last use.
    this.#conditions.delete(prompt);
    this.#conditions.set(prompt, condition);
    if (this.#conditions.size > CACHED_CONDITIONS) {
      const [oldest] = this.#conditions.keys();
      this.#conditions.delete(oldest!);
    }
    return condition;
  }

  async #encodeText(prompt: string): Promise<TextCondition> {
    const { maxTokens, hidden } = this.#manifest.text;
    const { ids, mask } = this.#tokenizer.encode(prompt);
    const states = await callNetwork(
      this.#networks,
      'textEncoder',
      {
        input_ids: { data: ids, shape: [1, maxTokens] },
        attention_mask: { data: mask, shape: [1, maxTokens] },
      },
      'states',
      [1, maxTokens, hidden],
    );
    return { states: withoutBatch(states), mask };
  }

  async velocity(
    latent: Tensor,
    time: number,
    condition: TextCondition,
    unconditional: TextCondition,
    guidance: number,
  ): Promise<Tensor> {
    // Guidance 1 is the conditional velocity itself.
    const conditions = guidance === 1 ? [condition] : [condition, unconditional];
    const batch = conditions.length;
    const shape = [batch, ...this.#latentShape];
    const velocity = await callNetwork(
      this.#networks,
      'denoiser',
      {
        latent: { data: concatenate(conditions.map(() => latent.data)), shape },
        time: { data: new Float32Array(batch).fill(time), shape: [batch] },
        text_states: {
          data: concatenate(conditions.map(({ states }) => states.data)),
          shape: [batch, ...condition.states.shape],
        },
        text_mask: {
          data: concatenateInt64(conditions.map(({ mask }) => mask)),
          shape: [batch, condition.mask.length],
        },
      },
      'velocity',
      shape,
    );
    if (batch === 1) return withoutBatch(velocity);
    const count = elementCount(this.#latentShape);
    return guided(
      { data: velocity.data.subarray(0, count), shape: this.#latentShape },
      { data: velocity.data.subarray(count), shape: this.#latentShape },
      guidance,
    );
  }

  async decode(latent: Tensor): Promise<Tensor> {
    return this.#ofOne('vaeDecoder', 'latent', latent, 'video', this.#videoShape);
  }

  async encode(video: Tensor): Promise<Tensor> {
    return this.#ofOne('vaeEncoder', 'video', video, 'latent', this.#latentShape);
  }

  async segment(latent: Tensor): Promise<Tensor> {
    const shape = this.#latentShape.slice(1);
    const logits = await this.#ofOne('segmenter', 'latent', latent, 'mask_logits', shape);
    return { data: logits.data.map((logit) => (logit > 0 ? 1 : 0)), shape };
  }

  async embedVideo(latent: Tensor): Promise<Float32Array> {
    const shape = [this.#manifest.embedding.dimensions];
    return (await this.#ofOne('videoTower', 'latent', latent, 'embedding', shape)).data;
  }

  async recognise(latent: Tensor): Promise<ShownAttributes> {
    const attributes = this.#manifest.judge?.attributes;
    if (attributes === undefined || this.#manifest.files.judge === undefined) return {};
    const shape = [logitCount(attributes)];
    const logits = await this.#ofOne('judge', 'latent', latent, 'logits', shape);
    return shownAttributes(attributes, logits.data);
  }

  async #ofOne(
    network: 'vaeDecoder' | 'vaeEncoder' | 'segmenter' | 'videoTower' | 'judge',
    input: string,
    value: Tensor,
    output: string,
    shape: readonly number[],
  ): Promise<Tensor> {
    const inputs = { [input]: asBatch(value) };
    return withoutBatch(await callNetwork(this.#networks, network, inputs, output, [1, ...shape]));
  }

  close(): Promise<void> {
    return this.#networks.close();
  }
}

/** Extents `[C, T, H, W]` of a package's latents. */
export function latentShape({ latent }: Pick<ModelManifest, 'latent'>): readonly number[] {
  return [latent.channels, latent.frames, latent.height, latent.width];
}

/** Classifier-free guidance: `v_u + guidance * (v_c - v_u)`. */
function guided(conditional: Tensor, unconditional: Tensor, guidance: number): Tensor {
  const data = conditional.data.map((velocity, index) => {
    const free = unconditional.data[index]!;
    return free + guidance * (velocity - free);
  });
  return { data, shape: conditional.shape };
}

function concatenate(parts: readonly Float32Array[]): Float32Array {
  const whole = new Float32Array(parts.reduce((length, part) => length + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

function concatenateInt64(parts: readonly BigInt64Array[]): BigInt64Array {
  return BigInt64Array.from(parts.flatMap((part) => [...part]));
}
