import nlp from 'compromise';
import { segmentPrompt, spokenWords, type Segment } from '#core/requests/prompt-segments.ts';
import type { LabelledWord, WordLabel } from './label-words.ts';
import {
  partPhrases,
  partWords,
  type PromptParts,
  type PromptSplitter,
  type WordLabeller,
} from './prompt-splitter.ts';
import { isClothing, isManner, isSceneWord, isStyleWord, isSurrounding } from './scene-words.ts';
import type { PromptReader } from './tokenizer.ts';

/**
 * Splits a prompt by a parser of English (compromise), for packages whose networks label no tokens: the clause is the object
 * with what it does, a preposition leads to the background, unless what it leads to is worn, a manner or who does
 * it. What is a place, a time or the weather by its nouns alone is the background wherever it stands.
 *
 * Prompts in other languages have no preposition that it knows: they are the object as a whole.
 */
export class ParserPromptSplitter implements PromptSplitter, WordLabeller {
  readonly #tokenizer: PromptReader;

  constructor(tokenizer: PromptReader) {
    this.#tokenizer = tokenizer;
  }

  async split(prompt: string): Promise<PromptParts> {
    const reading = this.#tokenizer.readingOf(prompt);
    return { ...partPhrases(labelledWords(prompt)), reading };
  }

  async labelWords(prompt: string): Promise<LabelledWord[]> {
    return partWords(labelledWords(prompt));
  }
}

function labelledWords(prompt: string): LabelledWord[] {
  const texts = prompt.split(/\s+/u).filter((word) => word.length > 0);
  const labels = labelSegments(segmentPrompt(texts.join(' ')).segments, parse(texts));
  return texts.map((text, index) => ({ text, label: labels[index]! }));
}

/** A white-space separated word as the parser takes it. */
interface ParsedWord {
  /** Lower-case, without punctuation. */
  spoken: string;
  tags: ReadonlySet<string>;
  /** Whether a sentence ends with it. */
  endsSentence: boolean;
}

interface ParserTerm {
  tags: string[];
  offset: { start: number };
}

function parse(texts: readonly string[]): ParsedWord[] {
  const tagsAt = new Map<number, string[]>();
  const sentences = nlp(lowerCased(texts.join(' '))).json({
    offset: true,
    terms: { tags: true, offset: true },
  }) as { terms: ParserTerm[] }[];
  for (const { tags, offset } of sentences.flatMap(({ terms }) => terms)) {
    tagsAt.set(offset.start, tags);
  }
  let end = -1;
  return texts.map((text) => {
    const start = end + 1;
    end = start + text.length;
    const tags = new Set<string>();
    for (let at = start; at < end; at++) for (const tag of tagsAt.get(at) ?? []) tags.add(tag);
    return {
      spoken: spokenWords(text).at(-1) ?? '',
      tags,
      endsSentence: /[.!?]["')\]]*$/u.test(text),
    };
  });
}

/** Which words of a prompt are nouns, as the parser takes them. */
export function nounsOf(texts: readonly string[]): boolean[] {
  return parse(texts).map(isNoun);
}

/** Shouted and headline prompts are parsed as others are: capitals would be names. */
function lowerCased(text: string): string {
  const capitals = text.match(/(?<!\p{L})\p{Lu}/gu)?.length ?? 0;
  const words = text.match(/(?<!\p{L})\p{L}/gu)?.length ?? 0;
  return capitals > words / 2 ? text.toLowerCase() : text;
}

type SegmentLabel = WordLabel | 'agent';

function labelSegments(segments: readonly Segment[], words: readonly ParsedWord[]): WordLabel[] {
  const pieces = segments.flatMap((segment) => cutAtVerb(segment, words));
  const labels: SegmentLabel[] = [];
  for (const [index, piece] of pieces.entries()) {
    const label = labelOf(piece, words, pieces[index - 1], labels[index - 1]);
    labels.push(label);
    // `the Eiffel Tower in the background`
    const before = pieces[index - 1];
    if (isBackdrop(piece) && before?.relation === null && index > 1) labels[index - 1] = label;
  }
  const ofWords = words.map((): WordLabel => 'other');
  for (const [index, { first, end }] of pieces.entries()) {
    const label = labels[index]!;
    ofWords.fill(label === 'agent' ? 'object' : label, first, end);
  }
  return ofWords;
}

/** `over the sea is growing`: the verb is not of the phrase but of the clause. */
function cutAtVerb(segment: Segment, words: readonly ParsedWord[]): Segment[] {
  if (segment.relation === null) return [segment];
  for (let at = segment.first + 1; at < segment.end; at++) {
    const { tags } = words[at]!;
    const isFinite = tags.has('Copula') || tags.has('Auxiliary') || tags.has('Modal');
    if (!isFinite || !hasNoun(words.slice(segment.first, at))) continue;
    const rest = { relation: null, words: [], first: at, end: segment.end };
    return [{ ...segment, end: at }, rest];
  }
  return [segment];
}

function labelOf(
  piece: Segment,
  words: readonly ParsedWord[],
  before: Segment | undefined,
  labelBefore: SegmentLabel | undefined,
): SegmentLabel {
  const own = words.slice(piece.first, piece.end);
  const nouns = own.filter(isNoun).map(({ spoken }) => spoken);
  const head = nouns.at(-1) ?? '';
  const isScene = nouns.length > 0 && nouns.every(isPlace(own));
  const isStyle = isStyleWord(head) || own.some(({ spoken }) => spoken === 'style');
  if (isStyle && before !== undefined) return 'other';
  if (piece.relation === null) {
    if (isScene || nouns.includes('camera') || isCameraMove(own)) return 'background';
    // `in the rain and snow`
    const continues = own[0]?.spoken === 'and' && !own.some(({ tags }) => tags.has('Verb'));
    if (continues && own.length > 1 && before?.relation != null) return labelBefore ?? 'object';
    // `The background is a green meadow.`
    const isSameSentence = before !== undefined && !words[before.end - 1]!.endsSentence;
    if (isSameSentence && before.relation === null && isBackdrop(before)) return 'background';
    return 'object';
  }
  if (piece.relation === 'with' || piece.relation === 'without') return 'object';
  if (isScene) return 'background';
  if (piece.words.length === 0) return 'object';
  if (isClothing(head) || isManner(head)) return 'object';
  if (own[1]?.tags.has('Infinitive') && own[0]!.spoken === 'to') return 'object';
  if (piece.relation !== 'by') return 'background';
  const verb = words
    .slice(0, piece.first)
    .findLast(({ tags }) => !tags.has('Adverb') && !tags.has('Conjunction'));
  if (verb === undefined || !(verb.tags.has('PastTense') || verb.tags.has('Passive')))
    return 'background';
  return isSurrounding(verb.spoken) ? 'background' : 'agent';
}

/** `zoom out`, `pan left` */
function isCameraMove(words: readonly ParsedWord[]): boolean {
  return words.length <= 2 && /^(?:pan|tilt|zoom|dolly)(?:ning|ing)?$/u.test(words[0]!.spoken);
}

function isBackdrop({ words }: Segment): boolean {
  return words.some((word) => word === 'background' || word === 'backdrop' || word === 'distance');
}

function isNoun({ tags, spoken }: ParsedWord): boolean {
  return (tags.has('Noun') && !tags.has('Pronoun')) || isSceneWord(spoken);
}

function hasNoun(words: readonly ParsedWord[]): boolean {
  return words.some(isNoun);
}

function isPlace(words: readonly ParsedWord[]): (noun: string) => boolean {
  return (noun) =>
    isSceneWord(noun) || words.some(({ spoken, tags }) => spoken === noun && tags.has('Place'));
}
