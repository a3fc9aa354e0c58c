import { pickOutput, withoutBatch } from './network-call.ts';
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
    const { ids, mask } = this.tokenizer.encode(text);
    const { maxTokens } = this.#manifest.text;
    const outputs = await this.#networks.run('textTower', {
      input_ids: { data: ids, shape: [1, maxTokens] },
      attention_mask: { data: mask, shape: [1, maxTokens] },
    });
    const { dimensions } = this.#manifest.embedding;
    const labels = this.#manifest.splitter.labels.length;
    const vector = pickOutput(outputs, 'textTower', 'embedding', [1, dimensions]).data;
    const logits = pickOutput(outputs, 'textTower', 'part_logits', [1, maxTokens, labels]);
    return { vector, partLogits: withoutBatch(logits) };
  }

  close(): Promise<void> {
    return this.#networks.close();
  }
}
