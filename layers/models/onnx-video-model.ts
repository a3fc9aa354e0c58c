import { LOOKUP_PARTS, type LookupPart } from '#core/generation.ts';
import {
  logitCount,
  shownAttributes,
  type ShownAttributes,
} from '#core/planning/shown-attributes.ts';
import { elementCount, type AttendedTensor, type Tensor } from '#core/latents/tensor.ts';
import { decodeVideo } from './decode-video.ts';
import { planThisGpu } from './gpu-memory.ts';
import { asBatch, callNetwork, withoutBatch } from './network-call.ts';
import { networkPaths, type ModelManifest, type ModelPackage } from './manifest.ts';
import type {
  FlowTime,
  RegionDenoiser,
  TextCondition,
  VelocityRequest,
  VideoModel,
} from './model.ts';
import { NetworkThread } from './network-thread.ts';
import { objectMaskOf } from './object-mask.ts';
import { objectWords } from './object-words.ts';
import { OnnxDenoiser } from './onnx-denoiser.ts';
import type { NetworkRunner, OnnxOptions } from './onnx-networks.ts';
import { OnnxObjectMasks } from './onnx-object-masks.ts';
import { OnnxTextEmbedder } from './onnx-text-embedder.ts';
import { OnnxVideoVectors } from './onnx-video-vectors.ts';
import { promptSplitter } from './prompt-models.ts';
import type { WordLabeller } from './prompt-splitter.ts';
import { PromptTokenizer } from './tokenizer.ts';

/** Of text states that are kept for prompts that come again. */
const CACHED_CONDITION_BYTES = 64 * 2 ** 20;

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
  readonly #denoiser: OnnxDenoiser;
  readonly #masks: OnnxObjectMasks;
  readonly #vectors: OnnxVideoVectors;
  /** Null where the denoiser does not ask which words name the object. */
  readonly #labeller: WordLabeller | null;
  readonly #latentShape: readonly number[];
  readonly #conditions = new Map<string, Promise<TextCondition>>();
  readonly #mostConditions: number;
  /** Every video needs it: it is kept whatever other prompts come. */
  #unconditional: Promise<TextCondition> | null = null;
  /** Most requests of one denoiser call: those that were asked for, as far as they fit the GPU. */
  readonly batch: number;

  constructor(
    networks: NetworkRunner,
    tokenizer: PromptTokenizer,
    manifest: ModelManifest,
    batch = 1,
  ) {
    this.batch = batch;
    this.#networks = networks;
    this.#tokenizer = tokenizer;
    this.#manifest = manifest;
    this.#denoiser = new OnnxDenoiser(networks, manifest);
    this.#masks = new OnnxObjectMasks(networks, manifest);
    this.#vectors = new OnnxVideoVectors(networks, manifest);
    this.#labeller =
      objectMaskOf(manifest)?.source === 'attention'
        ? promptSplitter(manifest, tokenizer, new OnnxTextEmbedder(networks, tokenizer, manifest))
        : null;
    this.#latentShape = latentShape(manifest);
    this.#mostConditions = Math.floor(CACHED_CONDITION_BYTES / conditionBytes(manifest.text));
  }

  /**
   * @param options `batch`: requests of one denoiser call that are wanted
   * @throws FlexCacheError `model_corrupt` when the tokenizer is none; `gpu_missing` when one of the networks is
   * larger than the GPU's free memory.
   */
  static async open(
    modelPackage: ModelPackage,
    { batch = 1, ...options }: OnnxOptions & { batch?: number } = {},
  ): Promise<OnnxVideoModel> {
    const { executionProvider } = options;
    const [tokenizer, memory] = await Promise.all([
      PromptTokenizer.open(modelPackage),
      executionProvider === 'cuda' ? planThisGpu(modelPackage.manifest, batch) : null,
    ]);
    const networks = new NetworkThread(networkPaths(modelPackage), {
      ...options,
      ...(memory && { memory }),
    });
    const fitting = memory?.batch ?? batch;
    return new OnnxVideoModel(networks, tokenizer, modelPackage.manifest, fitting);
  }

  /**
   * Loads every network that a generation runs, so that the first video is as fast as the others.
   *
   * @throws FlexCacheError `gpu_missing`, `model_corrupt`
   */
  async warmUp(): Promise<void> {
    const shape = this.#latentShape;
    const latent: Tensor = { data: new Float32Array(elementCount(shape)), shape };
    const unconditional = await this.encodeText(null);
    const { guidance } = this.#manifest.scheduler;
    const { objectMap } = await this.velocity(latent, 1, unconditional, unconditional, guidance);
    const video = await this.decode(latent);
    await this.segment({ ...latent, ...(objectMap && { objectMap }) }, async () => video);
    const mask = { data: new Float32Array(elementCount(shape.slice(1))), shape: shape.slice(1) };
    const parts = objectMaskOf(this.#manifest) === null ? (['whole'] as const) : LOOKUP_PARTS;
    await this.embedParts(latent, mask, parts, async () => video);
    await this.recognise(latent);
  }

  encodeText(asked: string | null): Promise<TextCondition> {
    const { negativePrompt } = this.#manifest.text;
    const prompt = asked ?? negativePrompt;
    if (prompt === negativePrompt) {
      this.#unconditional ??= this.#encodeText(prompt).catch((error: unknown) => {
        this.#unconditional = null;
        throw error;
      });
      return this.#unconditional;
    }
    let condition = this.#conditions.get(prompt);
    if (condition === undefined) {
      condition = this.#encodeText(prompt);
      condition.catch(() => this.#conditions.delete(prompt));
    }
    // Taken out and put back: the map's order is the order of last use.
    this.#conditions.delete(prompt);
    this.#conditions.set(prompt, condition);
    if (this.#conditions.size > this.#mostConditions) {
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
    const objectTokens = await this.#objectTokens(prompt);
    return { states: withoutBatch(states), mask, ...(objectTokens && { objectTokens }) };
  }

  /** 1 at the tokens of the words that name the prompt's object; null where the denoiser does not ask. */
  async #objectTokens(prompt: string): Promise<Float32Array | null> {
    if (this.#labeller === null) return null;
    const positions = this.#tokenizer.wordPositions(prompt);
    const isObject = objectWords(await this.#labeller.labelWords(prompt));
    const marks = new Float32Array(this.#manifest.text.maxTokens);
    for (const [word, tokens] of positions.entries()) {
      if (isObject[word] === true) for (const position of tokens) marks[position] = 1;
    }
    return marks;
  }

  async velocity(
    latent: Tensor,
    time: FlowTime,
    condition: TextCondition,
    unconditional: TextCondition,
    guidance: number,
  ): Promise<AttendedTensor> {
    const [velocity] = await this.velocities(
      [{ latent, time, condition }],
      unconditional,
      guidance,
    );
    return velocity!;
  }

  velocities(
    requests: readonly VelocityRequest[],
    unconditional: TextCondition,
    guidance: number,
  ): Promise<AttendedTensor[]> {
    return this.#denoiser.velocities(requests, unconditional, guidance);
  }

  get regions(): RegionDenoiser | null {
    return this.#denoiser.regions;
  }

  decode(latent: Tensor): Promise<Tensor> {
    return decodeVideo(this.#networks, this.#manifest, latent);
  }

  async encode(video: Tensor): Promise<Tensor> {
    return this.#ofOne('vaeEncoder', 'video', video, 'latent', this.#latentShape);
  }

  async encodeImage(image: Tensor): Promise<Tensor> {
    const [channels, , ...frame] = this.#latentShape;
    const shape = [channels!, 1, ...frame];
    return this.#ofOne('imageEncoder', 'image', image, 'latent', shape);
  }

  async segment(latent: AttendedTensor, decoded?: () => Promise<Tensor>): Promise<Tensor | null> {
    const [mask] = await this.#masks.masksOf([latent], decoded);
    return mask ?? null;
  }

  embedParts(
    latent: Tensor,
    mask: Tensor | null,
    parts: readonly LookupPart[],
    decoded?: () => Promise<Tensor>,
  ): Promise<Float32Array[] | null> {
    return this.#vectors.vectorsOf([{ latent, mask, parts, decoded }]);
  }

  async recognise(latent: Tensor): Promise<ShownAttributes> {
    const attributes = this.#manifest.judge?.attributes;
    if (attributes === undefined || this.#manifest.files.judge === undefined) return {};
    const shape = [logitCount(attributes)];
    const logits = await this.#ofOne('judge', 'latent', latent, 'logits', shape);
    return shownAttributes(attributes, logits.data);
  }

  async #ofOne(
    network: 'vaeEncoder' | 'imageEncoder' | 'judge',
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

/** Of the text states of one prompt and their mask. */
function conditionBytes({ maxTokens, hidden }: ModelManifest['text']): number {
  return maxTokens * (hidden * Float32Array.BYTES_PER_ELEMENT + BigInt64Array.BYTES_PER_ELEMENT);
}

/** Extents `[C, T, H, W]` of a package's latents. */
export function latentShape({ latent }: Pick<ModelManifest, 'latent'>): readonly number[] {
  return [latent.channels, latent.frames, latent.height, latent.width];
}
