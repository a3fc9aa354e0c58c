import type { Tensor } from '#core/tensor.ts';
import { pickOutput } from './network-call.ts';
import { networkPaths, type ModelManifest, type ModelPackage } from './manifest.ts';
import type { TextEmbedder, TextEmbedding } from './model.ts';
import { NetworkThread } from './network-thread.ts';
import { OnnxNetworks, type NetworkRunner, type OnnxOptions } from './onnx-networks.ts';
import { PromptTokenizer } from './tokenizer.ts';

export interface TextEmbedderOptions extends OnnxOptions {
  /** False runs the network on the event loop: right for a Lambda, whose handler waits anyway. */
  inThread?: boolean;
}

/**
 * The text tower of a package.
 *
 * @example
 * const embedder = await OnnxTextEmbedder.open(await loadManifest(directory));
 * const { vector } = await embedder.embedText('a red ball over a meadow');
 */
export class OnnxTextEmbedder implements TextEmbedder {
  readonly tokenizer: PromptTokenizer;
  readonly #networks: NetworkRunner;
  readonly #manifest: ModelManifest;

  constructor(networks: NetworkRunner, tokenizer: PromptTokenizer, manifest: ModelManifest) {
    this.#networks = networks;
    this.tokenizer = tokenizer;
    this.#manifest = manifest;
  }

  static async open(
    modelPackage: ModelPackage,
    options: TextEmbedderOptions = {},
  ): Promise<OnnxTextEmbedder> {
    const tokenizer = await PromptTokenizer.open(modelPackage);
    const { textTower } = networkPaths(modelPackage);
    const paths = textTower === undefined ? {} : { textTower };
    const networks =
      options.inThread === false
        ? new OnnxNetworks(paths, options)
        : new NetworkThread(paths, options);
    return new OnnxTextEmbedder(networks, tokenizer, modelPackage.manifest);
  }

  async embedText(text: string): Promise<TextEmbedding> {
    const [embedding] = await this.embedTexts([text]);
    return embedding!;
  }

  /** Embeds several texts in one call of the network, which is faster than one after the other. */
  async embedTexts(texts: readonly string[]): Promise<TextEmbedding[]> {
    const { maxTokens } = this.#manifest.text;
    const { dimensions } = this.#manifest.embedding;
    const labels = this.#manifest.splitter.labels.length;
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
    const logits = pickOutput(outputs, 'textTower', 'part_logits', [count, maxTokens, labels]);
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
