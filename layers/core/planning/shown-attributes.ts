import { PARTS, type LookupPart, type Part } from '../generation.ts';
import { spokenWords } from '../requests/prompt-segments.ts';

/** A property of videos that a package's judge reads from latents, such as the object's color. */
export interface JudgedAttribute {
  name: string;
  part: Part;
  values: readonly string[];
  /** Whether it affects where the object is over the course of the video, as size and motion do. */
  place?: boolean | undefined;
  /** Synonyms of each value: `sphere` for `ball`. Default: only the value's own words. */
  words?: readonly (readonly string[])[] | undefined;
}

/** Values that a judge was sure to see in a video, by attribute. */
export type ShownAttributes = Readonly<Record<string, string>>;

/** Minimum probability of a value for the judge to be sure. */
export const SURE_PROBABILITY = 0.9;

/**
 * Returns the values that a judge is sure of.
 *
 * @param logits logits of all values of all attributes, in order
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

/** Counts the logits of a judge: one per value of each attribute. */
export function logitCount(attributes: readonly JudgedAttribute[]): number {
  return attributes.reduce((sum, { values }) => sum + values.length, 0);
}

/**
 * Computes the most probable value of each attribute, by index, with its probability (softmax).
 *
 * @param logits logits of all values of all attributes, in order
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

/** Agreement of a video with a prompt, in numbers of attributes that the prompt names. */
export interface ShownAgreement {
  /** The judge saw another value. */
  contradicted: number;
  /** The judge was not sure, or there is no judge. */
  doubted: number;
  /** The judge was sure to see what is asked. */
  confirmed: number;
}

/**
 * Compares what a judge saw in a video with the phrases of a prompt. An attribute that the phrase
 * of its part does not name is ignored.
 *
 * @param part requested part of the video; for the whole, both parts
 */
export function compareShown(
  attributes: readonly JudgedAttribute[],
  shown: ShownAttributes,
  part: LookupPart,
  phrases: Readonly<Record<Part, string | null>>,
): ShownAgreement {
  const agreement = { contradicted: 0, doubted: 0, confirmed: 0 };
  for (const each of PARTS) {
    if (part !== 'whole' && part !== each) continue;
    const ofPart = attributes.filter((attribute) => attribute.part === each);
    for (const [index, named] of namedValues(ofPart, phrases[each] ?? '').entries()) {
      if (named.length === 0) continue;
      const value = shown[ofPart[index]!.name];
      if (value === undefined) agreement.doubted++;
      else if (named.includes(value)) agreement.confirmed++;
      else agreement.contradicted++;
    }
  }
  return agreement;
}

/**
 * Returns the values of each attribute that a text names, by their own words and the package's
 * synonyms. Of overlapping matches the longest counts: `from left to right` is not left.
 */
export function namedValues(attributes: readonly JudgedAttribute[], text: string): string[][] {
  let rest = ` ${spokenWords(text).join(' ')} `;
  const named = attributes.map(() => new Set<string>());
  for (const { phrase, attribute, value } of phrasesOf(attributes)) {
    if (!rest.includes(` ${phrase} `)) continue;
    named[attribute]!.add(value);
    rest = rest.replaceAll(` ${phrase} `, ' | ');
  }
  const words = rest.split(' ');
  for (const [index, { values, words: others }] of attributes.entries()) {
    for (const [place, value] of values.entries()) {
      const names = [value, ...(others?.[place] ?? [])];
      if (words.some((word) => names.some((name) => isFormOf(word, name))))
        named[index]!.add(value);
    }
  }
  return named.map((values) => [...values]);
}

/** Returns the synonyms of several words, the longest first. */
function phrasesOf(
  attributes: readonly JudgedAttribute[],
): { phrase: string; attribute: number; value: string }[] {
  return attributes
    .flatMap(({ values, words = [] }, attribute) =>
      words.flatMap((ofValue, index) =>
        ofValue.map((written) => ({
          phrase: spokenWords(written).join(' '),
          attribute,
          value: values[index]!,
        })),
      ),
    )
    .filter(({ phrase }) => phrase.includes(' '))
    .sort((one, other) => other.phrase.length - one.phrase.length);
}

/**
 * Whether a word is a value itself, or its plural, participle or third person: `circling` of
 * `circle`.
 */
function isFormOf(word: string, value: string): boolean {
  const stem = value.toLowerCase().replace(/e$/u, '');
  if (word === value.toLowerCase()) return true;
  if (!word.startsWith(stem)) return false;
  const ending = word.slice(stem.length);
  const last = stem.at(-1)!;
  return ['s', 'es', 'ed', 'ing', `${last}ed`, `${last}ing`].includes(ending);
}
