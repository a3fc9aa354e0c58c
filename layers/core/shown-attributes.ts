import type { LookupPart, Part } from './generation.ts';
import { spokenWords } from './prompt-segments.ts';

/** A property of videos that a package's judge tells from their latents, such as the object's colour. */
export interface JudgedAttribute {
  name: string;
  part: Part;
  values: readonly string[];
}

/** What a judge saw in a video: value by attribute, of those that it was sure of. */
export type ShownAttributes = Readonly<Record<string, string>>;

/** Least probability of the value that a judge is taken to be sure of. */
export const SURE_PROBABILITY = 0.9;

/**
 * The values that a judge is sure of.
 *
 * @param logits of all values of all attributes, in their order
 */
export function shownAttributes(
  attributes: readonly JudgedAttribute[],
  logits: Float32Array,
): ShownAttributes {
  const shown: Record<string, string> = {};
  for (const [index, { value, probability }] of judgements(attributes, logits).entries()) {
    const { name, values } = attributes[index]!;
    if (probability >= SURE_PROBABILITY) shown[name] = values[value]!;
  }
  return shown;
}

/** How many logits a judge gives: one for each value of each attribute. */
export function logitCount(attributes: readonly JudgedAttribute[]): number {
  return attributes.reduce((sum, { values }) => sum + values.length, 0);
}

/**
 * The most probable value of each attribute, by its index, and its probability (softmax).
 *
 * @param logits of all values of all attributes, in their order
 */
export function judgements(
  attributes: readonly JudgedAttribute[],
  logits: Float32Array,
): { value: number; probability: number }[] {
  let offset = 0;
  return attributes.map(({ values }) => {
    const ofAttribute = logits.subarray(offset, offset + values.length);
    offset += values.length;
    const largest = Math.max(...ofAttribute);
    const sum = ofAttribute.reduce((total, logit) => total + Math.exp(logit - largest), 0);
    return { value: ofAttribute.indexOf(largest), probability: 1 / sum };
  });
}

/**
 * Whether a video shows another value of an attribute than the phrases of a prompt name. An attribute that
 * the phrase of its part does not name, or that the judge was not sure of, contradicts nothing.
 *
 * @param part the part that is wanted of the video; of the whole, both
 */
export function contradictsPhrases(
  attributes: readonly JudgedAttribute[],
  shown: ShownAttributes,
  part: LookupPart,
  phrases: Readonly<Record<Part, string | null>>,
): boolean {
  return attributes.some((attribute) => {
    const value = shown[attribute.name];
    if (value === undefined || (part !== 'whole' && part !== attribute.part)) return false;
    const words = spokenWords(phrases[attribute.part] ?? '');
    const named = attribute.values.filter((each) => words.some((word) => isFormOf(word, each)));
    return named.length > 0 && !named.includes(value);
  });
}

/** Whether a word is the value's own, or its plural, participle or third person: `circling` of `circle`. */
function isFormOf(word: string, value: string): boolean {
  const stem = value.toLowerCase().replace(/e$/u, '');
  if (word === value.toLowerCase()) return true;
  if (!word.startsWith(stem)) return false;
  const ending = word.slice(stem.length);
  const last = stem.at(-1)!;
  return ['s', 'es', 'ed', 'ing', `${last}ed`, `${last}ing`].includes(ending);
}
