import { PARTS, type LookupPart, type Part } from '../generation.ts';
import { spokenWords } from '../requests/prompt-segments.ts';

/** A property of videos that a package's judge tells from their latents, such as the object's colour. */
export interface JudgedAttribute {
  name: string;
  part: Part;
  values: readonly string[];
  /** Whether it tells where the object is in the course of the video, as its size and motion do. */
  place?: boolean | undefined;
  /** For each value, other words that name it: `sphere` for `ball`. Without them its own words alone do. */
  words?: readonly (readonly string[])[] | undefined;
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

/** How what a video shows compares with what a prompt asks for, in attributes that the prompt names. */
export interface ShownAgreement {
  /** The judge saw another value. */
  contradicted: number;
  /** The judge was not sure, or nobody asked it. */
  doubted: number;
  /** The judge was sure to see what is asked for. */
  confirmed: number;
}

/**
 * Compares what a judge saw in a video with the phrases of a prompt. An attribute that the phrase of its
 * part does not name counts nowhere.
 *
 * @param part the part that is wanted of the video; of the whole, both
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
 * Which values of each attribute a text names, by their own words and the package's other words for
 * them. Of words that lie in one another the longest counts: `from left to right` is not left.
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

/** Other words for values that are more than one, the longest first. */
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

/** Whether a word is the value's own, or its plural, participle or third person: `circling` of `circle`. */
function isFormOf(word: string, value: string): boolean {
  const stem = value.toLowerCase().replace(/e$/u, '');
  if (word === value.toLowerCase()) return true;
  if (!word.startsWith(stem)) return false;
  const ending = word.slice(stem.length);
  const last = stem.at(-1)!;
  return ['s', 'es', 'ed', 'ing', `${last}ed`, `${last}ing`].includes(ending);
}
