import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { FlexCacheError } from '#core/errors.ts';
import { sha256OfFile } from '#files/sha256-of-file.ts';
import { NetworkThread } from './network-thread.ts';
import { parseSentenceTokenizer, SentenceEmbedder } from './sentence-embedder.ts';

/**
 * A folder with a general sentence encoder: `embedder.json`, `tokenizer.json` (Hugging Face) and
 * `encoder.onnx`, as `SentenceEmbedder` takes them.
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

export type EmbedderManifest = z.infer<typeof manifestSchema>;

/** A sentence encoder outside of model packages. */
export interface EmbedderFolder {
  manifest: EmbedderManifest;
  /** sha256 of all that decides a vector: the same revision gives the same vectors. */
  revision: string;
  embedder: SentenceEmbedder;
}

const FIX = 'export the embedder again; docs/simulate.md says what its folder holds';

/**
 * @throws FlexCacheError `model_missing` when a file of the folder is not there, `model_corrupt` when
 * one is not what it should be.
 */
export async function openEmbedderFolder(directory: string): Promise<EmbedderFolder> {
  const manifest = parseManifest(directory, await readText(directory, EMBEDDER_MANIFEST));
  const path = join(directory, TOKENIZER_FILE);
  const tokenizer = parseSentenceTokenizer(path, await readText(directory, TOKENIZER_FILE), FIX);
  const revision = await revisionOf(directory, manifest);
  const networks = new NetworkThread({ embedder: join(directory, ENCODER_FILE) });
  return { manifest, revision, embedder: new SentenceEmbedder(manifest, tokenizer, networks) };
}

async function readText(directory: string, name: string): Promise<string> {
  const path = join(directory, name);
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw missing(path, error);
  }
}

function parseManifest(directory: string, text: string): EmbedderManifest {
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

async function revisionOf(
  directory: string,
  { dimensions, maxTokens }: EmbedderManifest,
): Promise<string> {
  const digest = createHash('sha256').update(`${dimensions} ${maxTokens} in pieces\n`);
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
    fix: FIX,
    ...(cause === undefined ? {} : { cause }),
  });
}
