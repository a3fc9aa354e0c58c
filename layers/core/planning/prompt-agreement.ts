import type { Part } from '../generation.ts';
import {
  arePlaces,
  exclude,
  isMarker,
  segmentPrompt,
  spokenWords,
  type Segment,
  type SegmentedPrompt,
} from '../requests/prompt-segments.ts';

/** A prompt with its package's analysis. */
export interface ReadPrompt {
  prompt: string;
  objectPhrase: string | null;
  backgroundPhrase: string | null;
  /** Words that the model does not know: outside its vocabulary, or beyond its token limit. */
  unknownWords: readonly string[];
}

/**
 * Whether the words of two prompts permit that they ask for the same video. Compares only words;
 * whether different words mean the same is decided by the model's vectors (`verify-donor.ts`).
 *
 * Rejects prompts
 * - if one has a word that the other lacks and that the model does not know, or that negates,
 *   counts, compares or belongs to neither part: no vector captures its meaning;
 * - if their common words are in another order or belong to other words: `a red square over a green
 *   meadow` and `a green square over a red meadow`, `a cat chasing a dog` and `a dog chasing a cat`;
 * - if one says `left`, `over` or `small` and the other `right`, `under` or `large`.
 */
export function mayMeanTheSame(asked: ReadPrompt, stored: ReadPrompt): boolean {
  const [one, other] = [segmentPrompt(asked.prompt), segmentPrompt(stored.prompt)];
  const [ones, others] = [contentOf(one), contentOf(other)];
  if (!sameCounts(strictWords(asked, one, ones), strictWords(stored, other, others))) return false;
  if (directionsConflict(one.directions, other.directions)) return false;
  const [onlyOne, onlyOther] = [without(ones, others), without(others, ones)];
  if (onlyOne.some((word) => onlyOther.some((another) => exclude(word, another)))) return false;
  const scene = new Set(
    [...spokenIn(asked.backgroundPhrase)].filter(isIn(stored.backgroundPhrase)),
  );
  return sameStructure(one.segments, other.segments, scene);
}

/**
 * Whether the words of two prompts permit the stored video's part for the requested one. Similarity
 * is checked elsewhere; this rejects what similarity cannot capture: a requested word that the
 * model does not know or that negates or counts and that the stored part lacks, a marker of the
 * stored part that was not requested, and contradicting words.
 */
export function mayLendPart(part: Part, asked: ReadPrompt, stored: ReadPrompt): boolean {
  const [one, other] = [partOf(part, asked), partOf(part, stored)];
  const untold = untoldWords(asked, one);
  if (without(untold, [...other.content, ...relationsOf(other)]).length > 0) return false;
  const markers = other.content.filter(isMarker);
  if (without(markers, one.content).length > 0) return false;
  if (directionsConflict(one.segmented.directions, other.segmented.directions)) return false;
  const [onlyOne, onlyOther] = [
    without(one.content, other.content),
    without(other.content, one.content),
  ];
  return !onlyOne.some((word) => onlyOther.some((another) => exclude(word, another)));
}

interface SpokenPart {
  segmented: SegmentedPrompt;
  content: readonly string[];
}

/** Returns the phrase of a part; words of neither part may belong to this one. */
function partOf(part: Part, read: ReadPrompt): SpokenPart {
  const text = (part === 'object' ? read.objectPhrase : read.backgroundPhrase) ?? '';
  const segmented = segmentPrompt(text);
  const residue = residueOf(read, contentOf(segmentPrompt(read.prompt)));
  return { segmented, content: [...contentOf(segmented), ...residue] };
}

function contentOf({ segments }: SegmentedPrompt): string[] {
  return segments.flatMap(({ words }) => words);
}

/** Returns the words that both prompts must have. */
function strictWords(
  read: ReadPrompt,
  segmented: SegmentedPrompt,
  content: readonly string[],
): string[] {
  const untold = untoldWords(read, { segmented, content });
  return [...untold, ...without(residueOf(read, content), untold)];
}

/** Returns words that no vector reflects: unknown ones, and those that negate, count or compare. */
function untoldWords(read: ReadPrompt, part: SpokenPart): string[] {
  const unknown = unknownOf(read);
  return [
    ...part.content.filter((word) => unknown.has(word) || isMarker(word)),
    ...relationsOf(part).filter((word) => unknown.has(word)),
  ];
}

/** Returns its prepositions and directions. */
function relationsOf({ segmented, content }: SpokenPart): string[] {
  const claimed = new Set(content);
  return segmented.spoken.filter((word) => !claimed.has(word) && relates(word));
}

function unknownOf({ unknownWords }: ReadPrompt): Set<string> {
  return new Set(unknownWords.flatMap(spokenWords));
}

function relates(word: string): boolean {
  const { segments, directions } = segmentPrompt(word);
  return directions.length > 0 || segments.some(({ relation }) => relation !== null);
}

/** Returns content words of the prompt that are in no phrase. */
function residueOf(read: ReadPrompt, content: readonly string[]): string[] {
  const covered = [...spokenIn(read.objectPhrase), ...spokenIn(read.backgroundPhrase)];
  return without(content, covered);
}

function spokenIn(phrase: string | null): string[] {
  return phrase === null ? [] : spokenWords(phrase);
}

function isIn(phrase: string | null): (word: string) => boolean {
  const words = new Set(spokenIn(phrase));
  return (word) => words.has(word);
}

/** Whether both give a direction and the directions differ. */
function directionsConflict(one: readonly string[], other: readonly string[]): boolean {
  return one.length > 0 && other.length > 0 && one.join() !== other.join();
}

/** Whether the common words of two prompts belong together in the same way. */
function sameStructure(
  one: readonly Segment[],
  other: readonly Segment[],
  scene: ReadonlySet<string>,
): boolean {
  const [ones, others] = [countsOf(one), countsOf(other)];
  const common = new Set([...ones.keys()].filter((word) => others.has(word)));
  for (const word of common) if (ones.get(word) !== others.get(word)) return false;
  // A repeated word is ambiguous, so all its occurrences must be equal.
  const repeated = [...common].filter((word) => ones.get(word)! > 1);
  for (const word of repeated) if (settings(one, word) !== settings(other, word)) return false;

  const anchors = new Set([...common].filter((word) => ones.get(word) === 1));
  if (orderOf(clauseOf(one), anchors) !== orderOf(clauseOf(other), anchors)) return false;
  const places = other.filter(({ relation }) => relation !== null);
  const matched = one.filter(
    ({ relation, words }) => relation !== null && words.some(isOneOf(anchors)),
  );
  for (const segment of matched) {
    const counterpart = places.find(({ words }) =>
      words.some((word) => anchors.has(word) && segment.words.includes(word)),
    );
    if (counterpart === undefined) return false;
    if (orderOf(segment.words, anchors) !== orderOf(counterpart.words, anchors)) return false;
    const isScene = segment.words.filter(isOneOf(anchors)).every((word) => scene.has(word));
    const [relation, otherRelation] = [segment.relation!, counterpart.relation!];
    if (relation !== otherRelation && !(isScene && arePlaces(relation, otherRelation)))
      return false;
  }
  return true;
}

function isOneOf(words: ReadonlySet<string>): (word: string) => boolean {
  return (word) => words.has(word);
}

/** Returns the words of the clause itself, wherever its modifiers are in the sentence. */
function clauseOf(segments: readonly Segment[]): string[] {
  return segments.filter(({ relation }) => relation === null).flatMap(({ words }) => words);
}

function orderOf(words: readonly string[], anchors: ReadonlySet<string>): string {
  return words.filter(isOneOf(anchors)).join(' ');
}

function settings(segments: readonly Segment[], word: string): string {
  return segments
    .filter(({ words }) => words.includes(word))
    .map(({ relation, words }) => `${relation} ${words.join(' ')}`)
    .join('; ');
}

function countsOf(segments: readonly Segment[]): Map<string, number> {
  return counted(segments.flatMap(({ words }) => words));
}

function counted(words: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  return counts;
}

function sameCounts(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && without(one, other).length === 0;
}

/** Removes words from others; the rest is unique. */
function without(words: readonly string[], taken: readonly string[]): string[] {
  const left = counted(taken);
  return words.filter((word) => {
    const count = left.get(word) ?? 0;
    if (count === 0) return true;
    left.set(word, count - 1);
    return false;
  });
}
