import { Tokenizer } from '@huggingface/tokenizers';
import { readFile } from 'node:fs/promises';
import { FlexCacheError } from '#core/errors.ts';
import { networkPaths, packageFilePath, REINSTALL, type ModelPackage } from './manifest.ts';
import type { BatchTextEmbedder, TextEmbedding } from './model.ts';
import { pickOutput } from './network-call.ts';
import { openNetworks, type TextEmbedderOptions } from './open-networks.ts';
import type { NetworkRunner } from './onnx-networks.ts';

/** What a sentence encoder takes and gives. */
export interface SentenceEncoder {
  dimensions: number;
  /** The most tokens of one call, special ones included. */
  maxTokens: number;
  /** Whether the network takes inputs of exactly `maxTokens`. */
  fixedLength: boolean;
}

const LENGTH_TOLERANCE = 0.01;

/**
 * Vectors of whole sentences by a general encoder, whose network reads `input_ids` and `attention_mask` (int64 [B,L])
 * and gives `embedding` (float32 [B,dimensions]), pooled and of length 1. Its tokenizer is its own, and adds special tokens.
 *
 * @example
 * const embedder = await SentenceEmbedder.ofPackage(await loadManifest(directory));
 * const { vector } = await embedder.embedText('a red ball over a meadow');
 */
export class SentenceEmbedder implements BatchTextEmbedder {
  readonly #encoder: SentenceEncoder;
  readonly #tokenizer: Tokenizer;
  readonly #networks: NetworkRunner;

  constructor(encoder: SentenceEncoder, tokenizer: Tokenizer, networks: NetworkRunner) {
    this.#encoder = encoder;
    this.#tokenizer = tokenizer;
    this.#networks = networks;
  }

  /**
   * The `embedder` of a package.
   *
   * @throws FlexCacheError `model_missing` when there is none, `model_corrupt` when its tokenizer is none.
   */
  static async ofPackage(
    modelPackage: ModelPackage,
    options: TextEmbedderOptions = {},
  ): Promise<SentenceEmbedder> {
    const { embedder } = networkPaths(modelPackage);
    const path = packageFilePath(modelPackage, 'embedderTokenizer');
    const { embedding } = modelPackage.manifest;
    if (embedder === undefined || path === null || embedding.maxTokens === undefined) {
      throw new FlexCacheError(
        'model_missing',
        `model package ${modelPackage.directory} has no sentence encoder`,
        { field: 'files.embedder', fix: 'use a package that brings files.embedder' },
      );
    }
    const { dimensions, maxTokens, fixedLength = false } = embedding;
    const tokenizer = parseSentenceTokenizer(path, await readFile(path, 'utf8'), REINSTALL);
    const networks = openNetworks({ embedder }, options);
    return new SentenceEmbedder({ dimensions, maxTokens, fixedLength }, tokenizer, networks);
  }

  async embedText(text: string): Promise<TextEmbedding> {
    const [embedding] = await this.embedTexts([text]);
    return embedding!;
  }

  /**
   * A text that is longer than a call is embedded in pieces of whole words, and has the mean of their vectors, each weighed by its tokens: what
   * stands at its end tells it from others, too.
   */
  async embedTexts(texts: readonly string[]): Promise<TextEmbedding[]> {
    const pieces = texts.map((text) => this.#piecesOf(text.split(/\s+/u)));
    const rows = await this.#run(pieces.flat());
    let next = 0;
    return pieces.map((ofText) => ({
      vector: meanOf(ofText.map((ids) => ({ vector: rows[next++]!, weight: ids.length }))),
    }));
  }

  /** Token ids of a text, halved until each piece fits; one word that does not is cut, its closing token kept. */
  #piecesOf(words: readonly string[]): number[][] {
    const { ids } = this.#tokenizer.encode(words.join(' '));
    const { maxTokens } = this.#encoder;
    if (ids.length <= maxTokens) return [ids];
    if (words.length === 1) return [[...ids.slice(0, maxTokens - 1), ids.at(-1)!]];
    const middle = Math.ceil(words.length / 2);
    return [...this.#piecesOf(words.slice(0, middle)), ...this.#piecesOf(words.slice(middle))];
  }

  async #run(encoded: readonly number[][]): Promise<Float32Array[]> {
    const { dimensions, fixedLength, maxTokens } = this.#encoder;
    const longest = fixedLength ? maxTokens : Math.max(...encoded.map((ids) => ids.length));
    const ids = new BigInt64Array(encoded.length * longest);
    const mask = new BigInt64Array(encoded.length * longest);
    for (const [index, tokens] of encoded.entries()) {
      ids.set(tokens.map(BigInt), index * longest);
      mask.fill(1n, index * longest, index * longest + tokens.length);
    }
    const shape = [encoded.length, longest];
    const outputs = await this.#networks.run('embedder', {
      input_ids: { data: ids, shape },
      attention_mask: { data: mask, shape },
    });
    const { data } = pickOutput(outputs, 'embedder', 'embedding', [encoded.length, dimensions]);
    return encoded.map((_, index) => unitVector(data, index, dimensions));
  }

  close(): Promise<void> {
    return this.#networks.close();
  }
}

function unitVector(data: Float32Array, index: number, dimensions: number): Float32Array {
  const vector = data.slice(index * dimensions, (index + 1) * dimensions);
  const length = Math.hypot(...vector);
  if (Math.abs(length - 1) <= LENGTH_TOLERANCE) return vector;
  throw new FlexCacheError(
    'model_corrupt',
    `the sentence encoder gave a vector of length ${length}, expected 1`,
    { field: 'files.embedder', fix: 'export it with pooling and normalisation in its graph' },
  );
}

/** Of length 1. */
function meanOf(pieces: readonly { vector: Float32Array; weight: number }[]): Float32Array {
  const [first] = pieces;
  if (pieces.length === 1) return first!.vector;
  const sum = new Float32Array(first!.vector.length);
  for (const { vector, weight } of pieces) {
    for (let at = 0; at < sum.length; at++) sum[at]! += weight * vector[at]!;
  }
  const length = Math.hypot(...sum);
  return sum.map((element) => element / length);
}

/** The tokenizer in the text of a file. @throws FlexCacheError `model_corrupt` when it is none. */
export function parseSentenceTokenizer(path: string, text: string, fix: string): Tokenizer {
  try {
    return new Tokenizer(JSON.parse(text) as object, {});
  } catch (error) {
    throw new FlexCacheError('model_corrupt', `${path} is not a Hugging Face tokenizer`, {
      field: path,
      fix,
      cause: error,
    });
  }
}
