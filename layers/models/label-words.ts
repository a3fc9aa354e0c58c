import type { Part } from '#core/generation.ts';
import { segmentPrompt, spokenWords, type Segment } from '#core/requests/prompt-segments.ts';

export type WordLabel = Part | 'other';

export interface LabelledWord {
  /** As the user wrote it, punctuation included. */
  text: string;
  label: WordLabel;
}

/** A word as the model labelled it. */
export interface ModelWord extends LabelledWord {
  /** Whether the model knows it; what it says of another is a guess. */
  isKnown: boolean;
}

/**
 * Labels that go by what belongs together in the sentence, not by each word alone: a word that the model
 * does not know takes the part of the words that it stands with, a preposition that of what it leads to.
 *
 * Where the model knows none of them, or not the noun that a preposition leads to, a preposition leads to
 * the background and the rest is the object.
 */
export function labelBySegments(words: readonly ModelWord[]): LabelledWord[] {
  const labels: WordLabel[] = words.map(({ label, isKnown }) => (isKnown ? label : 'other'));
  const { segments } = segmentPrompt(words.map(({ text }) => text).join(' '));
  for (const segment of segments) labelSegment(segment, words, labels);
  return words.map(({ text }, index) => ({ text, label: labels[index]! }));
}

function labelSegment(segment: Segment, words: readonly ModelWord[], labels: WordLabel[]): void {
  const claims = new Set(segment.words);
  const claiming: number[] = [];
  for (let index = segment.first; index < segment.end; index++) {
    if (spokenWords(words[index]!.text).some((word) => claims.has(word))) claiming.push(index);
  }
  const known = claiming.filter((index) => words[index]!.isKnown && labels[index] !== 'other');
  const isPlace = segment.relation !== null;
  const head = claiming.at(-1);
  // `by` may lead to who does something, too.
  const isBackground = isPlace && (segment.relation !== 'by' || known.length === 0);
  if (isBackground && head !== undefined && !words[head]!.isKnown) {
    for (const index of claiming) labels[index] = 'background';
  } else {
    for (const index of claiming) {
      if (words[index]!.isKnown) continue;
      const nearest = nearestTo(index, known);
      labels[index] = nearest === undefined ? 'object' : labels[nearest]!;
    }
  }
  if (!isPlace) return;
  // The preposition itself, and the words that it consists of.
  const led = range(segment.first, segment.end).find(
    (index) =>
      labels[index] !== 'other' && (claiming.includes(index) || isDirection(words[index]!)),
  );
  for (let index = segment.first; index < (led ?? segment.first + 1); index++) {
    labels[index] = led === undefined ? 'other' : labels[led]!;
  }
}

/** Of two that are as near, the one behind: an adjective stands before its noun. */
function nearestTo(index: number, others: readonly number[]): number | undefined {
  const distances = others.map((other) => Math.abs(other - index));
  return others[distances.lastIndexOf(Math.min(...distances))];
}

function isDirection({ text }: ModelWord): boolean {
  return segmentPrompt(text).directions.length > 0;
}

function range(first: number, end: number): number[] {
  return Array.from({ length: end - first }, (_, offset) => first + offset);
}
