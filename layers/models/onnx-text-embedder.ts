import type { Tensor } from '#core/latents/tensor.ts';
import { pickOutput } from './network-call.ts';
import { networkPaths, type ModelManifest, type ModelPackage } from './manifest.ts';
import type { LabelledEmbedding, BatchTextEmbedder } from './model.ts';
import { openNetworks, type TextEmbedderOptions } from './open-networks.ts';
import type { NetworkRunner } from './onnx-networks.ts';
import { PromptTokenizer } from './tokenizer.ts';

/** Texts whose embeddings are kept: a prompt is split by the same output that it is looked up by. */
const KEPT_TEXTS = 256;

/**
 * The text tower of a package.
 *
 * @example
 * const embedder = await OnnxTextEmbedder.open(await loadManifest(directory));
 * const { vector } = await embedder.embedText('a red ball over a meadow');
 */
export class OnnxTextEmbedder implements BatchTextEmbedder {
  readonly tokenizer: PromptTokenizer;
  readonly #networks: NetworkRunner;
  readonly #manifest: ModelManifest;
  /** In the order in which they were asked for last. */
  readonly #kept = new Map<string, LabelledEmbedding>();

  constructor(networks: NetworkRunner, tokenizer: PromptTokenizer, manifest: ModelManifest) {
    this.#networks = networks;
    this.tokenizer = tokenizer;
    this.#manifest = manifest;
  }

  static async open(
    modelPackage: ModelPackage,
    options: TextEmbedderOptions = {},
  ): Promise<OnnxTextEmbedder> {
    return this.with(modelPackage, await PromptTokenizer.open(modelPackage), options);
  }

  /** The same with the package's tokenizer, which is open already. */
  static with(
    modelPackage: ModelPackage,
    tokenizer: PromptTokenizer,
    options: TextEmbedderOptions = {},
  ): OnnxTextEmbedder {
    const { textTower } = networkPaths(modelPackage);
    const paths = textTower === undefined ? {} : { textTower };
    return new OnnxTextEmbedder(openNetworks(paths, options), tokenizer, modelPackage.manifest);
  }

  async embedText(text: string): Promise<LabelledEmbedding> {
    const [embedding] = await this.embedTexts([text]);
    return embedding!;
  }

  async embedTexts(texts: readonly string[]): Promise<LabelledEmbedding[]> {
    const known = new Map(texts.map((text) => [text, this.#kept.get(text)]));
    const unknown = [...known.keys()].filter((text) => known.get(text) === undefined);
    const made = unknown.length === 0 ? [] : await this.#run(unknown);
    for (const [index, embedding] of made.entries()) known.set(unknown[index]!, embedding);
    for (const [text, embedding] of known) this.#keep(text, embedding!);
    return texts.map((text) => known.get(text)!);
  }

  #keep(text: string, embedding: LabelledEmbedding): void {
    this.#kept.delete(text);
    this.#kept.set(text, embedding);
    if (this.#kept.size <= KEPT_TEXTS) return;
    const [oldest] = this.#kept.keys();
    this.#kept.delete(oldest!);
  }

  async #run(texts: readonly string[]): Promise<LabelledEmbedding[]> {
    const { maxTokens } = this.#manifest.text;
    const { dimensions } = this.#manifest.embedding;
    const count = texts.length;
    const ids = new BigInt64Array(count * maxTokens);
    const masks = new BigInt64Array(count * maxTokens);
    for (const [index, text] of texts.entries()) {
      const tokens = this.tokenizer.encode(text);
      ids.set(tokens.ids, index * maxTokens);
      masks.set(tokens.mask, index * maxTokens);
    }
    const outputs = await this.#networks.run('textTower', {
      input_ids: { data: ids, shape: [count, maxTokens] },
      attention_mask: { data: masks, shape: [count, maxTokens] },
    });
    const vectors = pickOutput(outputs, 'textTower', 'embedding', [count, dimensions]);
    // A package whose prompts a parser splits needs no labels.
    const labels = this.#manifest.splitter?.labels.length ?? 0;
    const logits =
      labels === 0
        ? { data: new Float32Array(), shape: [count, maxTokens, 0] }
        : pickOutput(outputs, 'textTower', 'part_logits', [count, maxTokens, labels]);
    return texts.map((_, index) => ({
      vector: rowOf(vectors, index),
      partLogits: { data: rowOf(logits, index), shape: [maxTokens, labels] },
    }));
  }

  close(): Promise<void> {
    return this.#networks.close();
  }
}

/** One of a batch. */
function rowOf({ data, shape }: Tensor, index: number): Float32Array {
  const length = data.length / shape[0]!;
  return data.slice(index * length, (index + 1) * length);
}
