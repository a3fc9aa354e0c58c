import { createHash } from 'node:crypto';
import type { TextEmbedding, BatchTextEmbedder } from './model.ts';

/** Of the vectors of `LexicalEmbedder`. */
export const LEXICAL_DIMENSIONS = 512;

const ARTICLES = new Set(['a', 'an', 'the']);

/** Words of every script; those of Chinese or Thai are found by ICU's dictionaries. */
const SEGMENTER = new Intl.Segmenter(undefined, { granularity: 'word' });

/**
 * Vectors of texts without any network, for packages that bring none: words and pairs of neighbouring words, each
 * added with a sign to one of 512 elements, both told by its hash (Weinberger et al., Feature Hashing for Large Scale
 * Multitask Learning, ICML 2009). Cosines are those of the word counts, but for collisions. Case, punctuation and articles count for nothing; words that
 * mean the same are as unlike as any others.
 */
export class LexicalEmbedder implements BatchTextEmbedder {
  async embedText(text: string): Promise<TextEmbedding> {
    return { vector: lexicalVector(text) };
  }

  async embedTexts(texts: readonly string[]): Promise<TextEmbedding[]> {
    return texts.map((text) => ({ vector: lexicalVector(text) }));
  }

  async close(): Promise<void> {}
}

function lexicalVector(text: string): Float32Array {
  const words = wordsOf(text);
  const pairs = words.slice(1).map((word, index) => `${words[index]} ${word}`);
  // A text without words, such as an emoji, is one word; so are words that cancel each other out.
  return hashed([...words, ...pairs]) ?? hashed([text.trim()])!;
}

function wordsOf(text: string): string[] {
  const words: string[] = [];
  for (const { segment, isWordLike } of SEGMENTER.segment(text.normalize('NFKC').toLowerCase())) {
    if (isWordLike === true && !ARTICLES.has(segment)) words.push(segment);
  }
  return words;
}

/** Of length 1; null where nothing is left. */
function hashed(features: readonly string[]): Float32Array | null {
  const vector = new Float32Array(LEXICAL_DIMENSIONS);
  for (const feature of features) {
    const digest = createHash('sha256').update(feature).digest();
    const sign = digest.readUInt8(4) < 128 ? 1 : -1;
    vector[digest.readUInt32LE(0) % LEXICAL_DIMENSIONS]! += sign;
  }
  const length = Math.hypot(...vector);
  return length === 0 ? null : vector.map((element) => element / length);
}
