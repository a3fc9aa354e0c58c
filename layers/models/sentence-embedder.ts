import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Tokenizer } from '@huggingface/tokenizers';
import { z } from 'zod';
import { FlexCacheError } from '#core/errors.ts';
import { sha256OfFile } from '#files/sha256-of-file.ts';
import { pickOutput } from './network-call.ts';
import { NetworkThread } from './network-thread.ts';
import type { NetworkRunner } from './onnx-networks.ts';

/**
 * A folder with a general sentence encoder: `embedder.json`, `tokenizer.json` (Hugging Face) and
 * `encoder.onnx`, whose inputs are `input_ids` and `attention_mask` (int64 [B,L]) and whose output is
 * `embedding` (float32 [B,dimensions]), pooled and of length 1.
 */
export const EMBEDDER_MANIFEST = 'embedder.json';
const TOKENIZER_FILE = 'tokenizer.json';
const ENCODER_FILE = 'encoder.onnx';

const manifestSchema = z.strictObject({
  format: z.literal('flexcache-embedder/1'),
  name: z.string().min(1),
  license: z.string().min(1),
  dimensions: z.int().positive().max(4096),
  maxTokens: z.int().min(3).max(8192),
  /** Whether the network takes inputs of exactly `maxTokens`. */
  fixedLength: z.boolean().default(false),
  /** From which cosine on one prompt's video may be started from how late for another prompt. */
  ladder: z.array(z.strictObject({ similarity: z.number(), startTime: z.number() })).min(1),
});

export type SentenceEmbedderManifest = z.infer<typeof manifestSchema>;

const LENGTH_TOLERANCE = 0.01;

/**
 * Vectors of whole sentences; it knows nothing of their parts.
 *
 * @example
 * const embedder = await SentenceEmbedder.open('minilm');
 * const [vector] = await embedder.embedTexts(['a red ball over a meadow']);
 */
export class SentenceEmbedder {
  readonly manifest: SentenceEmbedderManifest;
  /** sha256 of all that decides a vector: the same revision gives the same vectors. */
  readonly revision: string;
  readonly #tokenizer: Tokenizer;
  readonly #networks: NetworkRunner;

  constructor(
    manifest: SentenceEmbedderManifest,
    revision: string,
    tokenizer: Tokenizer,
    networks: NetworkRunner,
  ) {
    this.manifest = manifest;
    this.revision = revision;
    this.#tokenizer = tokenizer;
    this.#networks = networks;
  }

  /**
   * @throws FlexCacheError `model_missing` when a file of the folder is not there, `model_corrupt` when
   * one is not what it should be.
   */
  static async open(directory: string): Promise<SentenceEmbedder> {
    const manifest = parseManifest(directory, await readText(directory, EMBEDDER_MANIFEST));
    const tokenizer = parseTokenizer(directory, await readText(directory, TOKENIZER_FILE));
    const revision = await revisionOf(directory, manifest);
    // The runner tells its networks by the names of a model package, where this one is the text tower.
    const networks = new NetworkThread({ textTower: join(directory, ENCODER_FILE) });
    return new SentenceEmbedder(manifest, revision, tokenizer, networks);
  }

  /** A text that is too long is cut, its closing token kept. */
  async embedTexts(texts: readonly string[]): Promise<Float32Array[]> {
    const encoded = texts.map((text) => this.#encode(text));
    const { dimensions, fixedLength, maxTokens } = this.manifest;
    const longest = fixedLength ? maxTokens : Math.max(...encoded.map((ids) => ids.length));
    const ids = new BigInt64Array(texts.length * longest);
    const mask = new BigInt64Array(texts.length * longest);
    for (const [index, tokens] of encoded.entries()) {
      ids.set(tokens.map(BigInt), index * longest);
      mask.fill(1n, index * longest, index * longest + tokens.length);
    }
    const shape = [texts.length, longest];
    const outputs = await this.#networks.run('textTower', {
      input_ids: { data: ids, shape },
      attention_mask: { data: mask, shape },
    });
    const { data } = pickOutput(outputs, 'textTower', 'embedding', [texts.length, dimensions]);
    return texts.map((_, index) => unitVector(data, index, dimensions));
  }

  close(): Promise<void> {
    return this.#networks.close();
  }

  #encode(text: string): number[] {
    const { ids } = this.#tokenizer.encode(text);
    const { maxTokens } = this.manifest;
    return ids.length <= maxTokens ? ids : [...ids.slice(0, maxTokens - 1), ids.at(-1)!];
  }
}

function unitVector(data: Float32Array, index: number, dimensions: number): Float32Array {
  const vector = data.slice(index * dimensions, (index + 1) * dimensions);
  const length = Math.hypot(...vector);
  if (Math.abs(length - 1) <= LENGTH_TOLERANCE) return vector;
  throw corrupt(ENCODER_FILE, `${ENCODER_FILE} gave a vector of length ${length}, expected 1`);
}

async function readText(directory: string, name: string): Promise<string> {
  const path = join(directory, name);
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw missing(path, error);
  }
}

function parseManifest(directory: string, text: string): SentenceEmbedderManifest {
  const path = join(directory, EMBEDDER_MANIFEST);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw corrupt(path, `${path} is not JSON`, error);
  }
  const parsed = manifestSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const field = issue!.path.join('.') || 'the whole file';
  throw corrupt(path, `${path}: ${field}: ${issue!.message}`, parsed.error);
}

function parseTokenizer(directory: string, text: string): Tokenizer {
  const path = join(directory, TOKENIZER_FILE);
  try {
    return new Tokenizer(JSON.parse(text) as object, {});
  } catch (error) {
    throw corrupt(path, `${path} is not a Hugging Face tokenizer`, error);
  }
}

async function revisionOf(
  directory: string,
  { dimensions, maxTokens }: SentenceEmbedderManifest,
): Promise<string> {
  const digest = createHash('sha256').update(`${dimensions} ${maxTokens}\n`);
  for (const name of [TOKENIZER_FILE, ENCODER_FILE]) {
    const path = join(directory, name);
    const sha256 = await sha256OfFile(path).catch((error: unknown) => {
      throw missing(path, error);
    });
    digest.update(`${name} ${sha256}\n`);
  }
  return digest.digest('hex');
}

function missing(path: string, cause: unknown): FlexCacheError {
  return new FlexCacheError('model_missing', `${path} cannot be read`, {
    field: path,
    fix: `name a folder with ${EMBEDDER_MANIFEST}, ${TOKENIZER_FILE} and ${ENCODER_FILE}; docs/simulate.md says what they hold`,
    cause,
  });
}

function corrupt(path: string, message: string, cause?: unknown): FlexCacheError {
  return new FlexCacheError('model_corrupt', message, {
    field: path,
    fix: 'export the embedder again; docs/simulate.md says what its folder holds',
    ...(cause === undefined ? {} : { cause }),
  });
}
