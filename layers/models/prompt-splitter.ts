import type { Part, PromptReading } from '#core/generation.ts';
import { spokenWords } from '#core/requests/prompt-segments.ts';
import type { Tensor } from '#core/latents/tensor.ts';
import { labelBySegments, type LabelledWord, type WordLabel } from './label-words.ts';
import type { LabelledEmbedding } from './model.ts';
import type { PromptTokenizer, PromptWord } from './tokenizer.ts';

/** The prompt's own words about each part; null when it says nothing about it. */
export interface PromptParts {
  objectPhrase: string | null;
  backgroundPhrase: string | null;
  /** Absent where the splitter does not know the model's words. */
  reading?: PromptReading;
}

/** Finds which words of a prompt speak of the object and which of the background. */
export interface PromptSplitter {
  split(prompt: string): Promise<PromptParts>;
}

/** The same word by word. */
export interface WordLabeller {
  /** The part of each white-space separated word, as `split` makes phrases of them. */
  labelWords(prompt: string): Promise<LabelledWord[]>;
}

export const ARTICLES: ReadonlySet<string> = new Set(['a', 'an', 'the']);
const LEADING_PUNCTUATION = /^\p{P}+/u;
const TRAILING_PUNCTUATION = /\p{P}+$/u;

/** What labels the tokens of a prompt. */
export interface TokenLabeller {
  embedText(text: string): Promise<Pick<LabelledEmbedding, 'partLogits'>>;
}

/** Splits a prompt with the part labels that the package's text tower gives each token. */
export class ModelPromptSplitter implements PromptSplitter, WordLabeller {
  readonly #labeller: TokenLabeller;
  readonly #tokenizer: PromptTokenizer;
  readonly #labels: readonly string[];

  /** @param labels `splitter.labels` of the package */
  constructor(labeller: TokenLabeller, tokenizer: PromptTokenizer, labels: readonly string[]) {
    this.#labeller = labeller;
    this.#tokenizer = tokenizer;
    this.#labels = labels;
  }

  async split(prompt: string): Promise<PromptParts> {
    const { words } = this.#tokenizer.encodeWords(prompt);
    if (words.length === 0) return { objectPhrase: null, backgroundPhrase: null };
    const reading = this.#tokenizer.readingOf(prompt);
    return { ...partPhrases(await this.#labelHeard(prompt, words, reading)), reading };
  }

  async labelWords(prompt: string): Promise<LabelledWord[]> {
    const { words } = this.#tokenizer.encodeWords(prompt);
    if (words.length === 0) return [];
    const reading = this.#tokenizer.readingOf(prompt);
    const heard = partWords(await this.#labelHeard(prompt, words, reading)).values();
    return words.map(({ text, positions }) =>
      positions.length > 0 ? heard.next().value! : { text, label: 'other' },
    );
  }

  /** Words of which tokens are left, as the text tower labels them. */
  async #labelHeard(
    prompt: string,
    words: readonly PromptWord[],
    reading: PromptReading,
  ): Promise<LabelledWord[]> {
    const heard = words.filter(({ positions }) => positions.length > 0);
    const { partLogits } = await this.#labeller.embedText(prompt);
    const unknown = new Set(reading.unknownWords.flatMap(spokenWords));
    const labelled = heard.map(({ text, positions }) => ({
      text,
      label: this.#majorityLabel(positions, partLogits),
      isKnown: !spokenWords(text).some((word) => unknown.has(word)),
    }));
    return labelBySegments(labelled);
  }

  /** The part that most tokens name; a tie goes to the one that came first in the word. */
  #majorityLabel(positions: readonly number[], partLogits: Tensor): WordLabel {
    const votes = new Map<WordLabel, number>();
    for (const position of positions) {
      const label = this.#labelAt(position, partLogits);
      // Unknown hyphens and quotes are `other` and must not outvote the words beside them.
      if (label !== 'other') votes.set(label, (votes.get(label) ?? 0) + 1);
    }
    let winner: WordLabel = 'other';
    let most = 0;
    for (const [label, count] of votes) {
      if (count > most) [winner, most] = [label, count];
    }
    return winner;
  }

  #labelAt(position: number, partLogits: Tensor): WordLabel {
    const count = this.#labels.length;
    const logits = partLogits.data.subarray(position * count, (position + 1) * count);
    const name = this.#labels[logits.indexOf(Math.max(...logits))];
    return name === 'object' || name === 'background' ? name : 'other';
  }
}

/** Phrases of a labelled prompt, in the order of its words. */
export function partPhrases(words: readonly LabelledWord[]): PromptParts {
  const parts = partWords(words);
  return {
    objectPhrase: phraseOf('object', parts),
    backgroundPhrase: phraseOf('background', parts),
  };
}

/**
 * The same words with the parts that their phrases have: what stands between two words of one part belongs to it, and an
 * article belongs to the word that follows it.
 */
export function partWords(words: readonly LabelledWord[]): LabelledWord[] {
  const labels = words.map(({ label }) => label);
  const texts = words.map(({ text }) => text);
  // Before the gaps, or `in` would join `ball in` when an article after it is taken for the object.
  labelArticles(texts, labels, (following) => following !== 'other');
  joinGaps(labels);
  labelArticles(texts, labels, () => true);
  return texts.map((text, index) => ({ text, label: labels[index]! }));
}

/** Gives each article the label of the word after it, where that label is admitted. */
function labelArticles(
  texts: readonly string[],
  labels: WordLabel[],
  admit: (following: WordLabel) => boolean,
): void {
  // From the end, so that the first of several articles follows the last.
  for (let index = texts.length - 2; index >= 0; index--) {
    const following = labels[index + 1]!;
    if (ARTICLES.has(texts[index]!.toLowerCase()) && admit(following)) labels[index] = following;
  }
}

function joinGaps(labels: WordLabel[]): void {
  let last = -1;
  for (const [index, label] of labels.entries()) {
    if (label === 'other') continue;
    if (last >= 0 && labels[last] === label) labels.fill(label, last, index);
    last = index;
  }
}

function phraseOf(part: Part, words: readonly LabelledWord[]): string | null {
  const runs: string[] = [];
  let run: string[] = [];
  for (let index = 0; index <= words.length; index++) {
    const word = words[index];
    if (word?.label === part) {
      run.push(word.text);
    } else if (run.length > 0) {
      runs.push(run.join(' ').replace(LEADING_PUNCTUATION, '').replace(TRAILING_PUNCTUATION, ''));
      run = [];
    }
  }
  const phrase = runs.filter((text) => text.length > 0).join(' ');
  return phrase.length > 0 ? phrase : null;
}
