import { readFile } from 'node:fs/promises';
import { Tokenizer } from '@huggingface/tokenizers';
import { FlexCacheError } from '#core/errors.ts';
import type { PromptReading } from '#core/generation.ts';
import { packageFilePath, type ModelManifest, type ModelPackage } from './manifest.ts';
import type { Tokens } from './model.ts';

const PADDING_TOKEN = '[PAD]';
const PUNCTUATION = /^[\p{P}\p{S}]+$/u;
const LETTERS_AND_DIGITS = /[\p{L}\p{N}]+/gu;

/** One white-space separated word of a prompt and the tokens it became. */
export interface PromptWord {
  /** As the user wrote it, punctuation included. */
  text: string;
  /** Positions in `Tokens.ids` of the word's tokens; punctuation only when there is nothing else. */
  positions: number[];
  /** Whether tokens of it did not fit. */
  isCut: boolean;
}

/** Token ids together with the words they came from. */
export interface AlignedTokens extends Tokens {
  words: PromptWord[];
}

/** Knows what a package's denoiser takes in of a text. */
export interface PromptReader {
  readingOf(prompt: string): PromptReading;
}

type TextOptions = Pick<
  ModelManifest['text'],
  'maxTokens' | 'padId' | 'eosId' | 'addsSpecialTokens'
>;

/**
 * Prompt -> token ids of one package.
 *
 * Words are tokenised one by one, so every token knows its word. For a WordPiece tokenizer that
 * splits at white space this yields what tokenising the whole prompt yields. The ids of a package that
 * adds special tokens are those of the whole prompt.
 *
 * @example
 * const tokenizer = await PromptTokenizer.open(modelPackage);
 * tokenizer.encode('a red ball').mask; // 1n, 1n, 1n, 0n, ...
 */
export class PromptTokenizer implements PromptReader {
  readonly #tokenizer: Tokenizer;
  readonly #maxTokens: number;
  readonly #paddingId: bigint;
  readonly #endId: number | null;
  readonly #addsSpecialTokens: boolean;
  /** Tokens that are left for words beside the special ones. */
  readonly #mostOfWords: number;
  /** Null where every text has tokens of its own. */
  readonly #unknownId: number | null;

  /**
   * @param json the parsed `tokenizer.json`
   * @param text of the package's manifest
   */
  constructor(json: object, { maxTokens, padId, eosId, addsSpecialTokens }: TextOptions) {
    this.#tokenizer = new Tokenizer(json, {});
    this.#maxTokens = maxTokens;
    this.#paddingId = BigInt(padId ?? this.#tokenizer.token_to_id(PADDING_TOKEN) ?? 0);
    this.#endId = eosId ?? null;
    this.#addsSpecialTokens = addsSpecialTokens;
    const special = addsSpecialTokens
      ? this.#tokenizer.encode('', { add_special_tokens: true }).ids.length
      : 0;
    this.#mostOfWords = Math.max(0, maxTokens - special);
    const unknown = unknownToken(json);
    this.#unknownId = unknown === null ? null : (this.#tokenizer.token_to_id(unknown) ?? null);
  }

  /** @throws FlexCacheError `model_corrupt` when `tokenizer.json` is not a tokenizer. */
  static async open(modelPackage: ModelPackage): Promise<PromptTokenizer> {
    const path = packageFilePath(modelPackage, 'tokenizer')!;
    try {
      const json = JSON.parse(await readFile(path, 'utf8')) as object;
      return new PromptTokenizer(json, modelPackage.manifest.text);
    } catch (error) {
      throw new FlexCacheError('model_corrupt', `${path} is not a Hugging Face tokenizer`, {
        field: path,
        fix: 'fetch or export the model package again',
        cause: error,
      });
    }
  }

  /** What of a prompt the model will not take in: words outside its vocabulary, and beyond its limit. */
  readingOf(prompt: string): PromptReading {
    const { words, cut } = this.encodeWords(prompt);
    const unknownWords = new Map<string, string>();
    const cutWords: string[] = [];
    for (const { text, isCut } of words) {
      if (isCut) cutWords.push(text);
      for (const [piece] of text.matchAll(LETTERS_AND_DIGITS)) {
        const key = piece.toLowerCase();
        if (this.#isUnknown(piece) && !unknownWords.has(key)) unknownWords.set(key, piece);
      }
    }
    return { unknownWords: [...unknownWords.values()], cutTokens: cut, cutWords };
  }

  #isUnknown(text: string): boolean {
    if (this.#unknownId === null) return false;
    return this.#tokenizer
      .encode(text, { add_special_tokens: false })
      .ids.includes(this.#unknownId);
  }

  /**
   * Padded or cut to `text.maxTokens`. Nothing at all becomes padding whose first mask is 1, unless special
   * tokens are added; a prompt that was cut keeps its end token.
   */
  encode(prompt: string): Tokens {
    if (this.#addsSpecialTokens) return this.#encodeWhole(prompt);
    const { ids, mask, cut } = this.encodeWords(prompt);
    return { ids, mask, cut };
  }

  #encodeWhole(prompt: string): Tokens {
    const text = prompt.trim().replaceAll(/\s+/gu, ' ');
    const all = this.#tokenizer.encode(text, { add_special_tokens: true }).ids;
    const tokens = this.#padded(all);
    if (tokens.cut > 0 && this.#endId !== null)
      tokens.ids[this.#maxTokens - 1] = BigInt(this.#endId);
    return tokens;
  }

  /** Cut to `text.maxTokens`, or filled up with padding. */
  #padded(all: readonly number[]): Tokens {
    const kept = all.slice(0, this.#maxTokens);
    const ids = new BigInt64Array(this.#maxTokens).fill(this.#paddingId);
    ids.set(kept.map(BigInt));
    const mask = new BigInt64Array(this.#maxTokens).fill(1n, 0, Math.max(kept.length, 1));
    return { ids, mask, cut: all.length - kept.length };
  }

  /**
   * Positions in the ids of `encode` of each white-space separated word's tokens; punctuation only when there is
   * nothing else, none of a word that was cut off. Where prompts are read as a whole, a word has what the prompt's beginning gains by it.
   */
  wordPositions(prompt: string): number[][] {
    if (!this.#addsSpecialTokens) {
      return this.encodeWords(prompt).words.map(({ positions }) => positions);
    }
    const texts = prompt.split(/\s+/u).filter((word) => word.length > 0);
    const plain = this.#tokenizer.encode(texts.join(' '), { add_special_tokens: false });
    const whole = this.#tokenizer.encode(texts.join(' '), { add_special_tokens: true });
    const pieces: string[] = plain.tokens;
    const first = placeIn(whole.ids, plain.ids);
    const isCut = whole.ids.length > this.#maxTokens;
    const end = isCut && this.#endId !== null ? this.#maxTokens - 1 : this.#maxTokens;
    let start = 0;
    return texts.map((_, index): number[] => {
      const beginning = texts.slice(0, index + 1).join(' ');
      const { ids } = this.#tokenizer.encode(beginning, { add_special_tokens: false });
      const begin = start;
      start = Math.max(begin, ids.length);
      const own = pieces.slice(begin, start).map((token, offset) => ({
        position: first + begin + offset,
        isPunctuation: PUNCTUATION.test(token),
      }));
      const kept = own.filter(({ position }) => position < end);
      const spoken = kept.filter(({ isPunctuation }) => !isPunctuation);
      return (spoken.length > 0 ? spoken : kept).map(({ position }) => position);
    });
  }

  /** Like `encode`, and which tokens each word became; a word that was cut off has no positions. */
  encodeWords(prompt: string): AlignedTokens {
    const all: number[] = [];
    const words: PromptWord[] = [];
    for (const text of prompt.split(/\s+/u).filter((word) => word.length > 0)) {
      const encoding = this.#tokenizer.encode(text, { add_special_tokens: false });
      const spoken: number[] = [];
      const punctuation: number[] = [];
      for (const [index, id] of encoding.ids.entries()) {
        if (all.length < this.#mostOfWords) {
          const isPunctuation = PUNCTUATION.test(encoding.tokens[index]!);
          (isPunctuation ? punctuation : spoken).push(all.length);
        }
        all.push(id);
      }
      words.push({
        text,
        positions: spoken.length > 0 ? spoken : punctuation,
        isCut: all.length > this.#mostOfWords && encoding.ids.length > 0,
      });
    }
    const cut = Math.max(0, all.length - this.#mostOfWords);
    return { ...this.#padded(all.slice(0, this.#mostOfWords)), cut, words };
  }
}

/** Where some ids begin among others that have them in a row; 0 where they do not. */
function placeIn(all: readonly number[], some: readonly number[]): number {
  for (let start = 0; start + some.length <= all.length; start++) {
    if (some.every((id, index) => all[start + index] === id)) return start;
  }
  return 0;
}

/** What a tokenizer says for a text that it has no token for. */
function unknownToken(json: object): string | null {
  const { model } = json as {
    model?: { unk_token?: string | null; unk_id?: number | null; vocab?: unknown };
  };
  if (typeof model?.unk_token === 'string') return model.unk_token;
  const { unk_id: id, vocab } = model ?? {};
  if (typeof id !== 'number' || !Array.isArray(vocab)) return null;
  const [token] = (vocab as [string, number][])[id] ?? [];
  return token ?? null;
}
