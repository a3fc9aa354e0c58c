import { spokenWords } from '#core/prompt-segments.ts';
import { WORLD_PHRASES, WORLD_SLOTS } from '#core/simulate/traces/world-vocabulary.ts';
import { isFormOf, type JudgedAttribute } from '#core/shown-attributes.ts';

/** For each attribute of the judge, which of its values a prompt names; null where it names none, or two. */
export type AskedValues = readonly (number | null)[];

/**
 * Reads what prompts name of what a judge tells. For the attributes of the demo world all its phrases are
 * known (`sphere` is a ball); of another judge's values only their own words and forms.
 */
export function askedValuesReader(
  attributes: readonly JudgedAttribute[],
): (prompt: string) => AskedValues {
  if (isDemoWorld(attributes)) return readWorldPrompt(attributes);
  return (prompt) => {
    const words = spokenWords(prompt);
    return attributes.map(({ values }) => {
      const named = values.flatMap((value, index) =>
        words.some((word) => isFormOf(word, value)) ? [index] : [],
      );
      return named.length === 1 ? named[0]! : null;
    });
  };
}

/** Whether a judge tells what the demo world's prompts name, value by value in the world's order. */
export function isDemoWorld(attributes: readonly JudgedAttribute[]): boolean {
  return (
    attributes.length > 0 &&
    attributes.every(({ name, values }) => phrasesOf(name)?.length === values.length)
  );
}

function phrasesOf(name: string): readonly (readonly string[])[] | undefined {
  return Object.entries(WORLD_PHRASES).find(([slot]) => slot === name)?.[1];
}

function readWorldPrompt(attributes: readonly JudgedAttribute[]): (prompt: string) => AskedValues {
  // All that a prompt can say, the longest first: `over a green meadow` is not green.
  const phrases = WORLD_SLOTS.flatMap((slot) =>
    WORLD_PHRASES[slot].flatMap((ofValue, value) =>
      ofValue.map((phrase) => ({ slot, value, phrase })),
    ),
  ).sort((one, other) => other.phrase.length - one.phrase.length);
  return (prompt) => {
    let rest = ` ${spokenWords(prompt).join(' ')} `;
    const asked = new Map<string, number>();
    for (const { slot, value, phrase } of phrases) {
      if (asked.has(slot) || !rest.includes(` ${phrase} `)) continue;
      asked.set(slot, value);
      rest = rest.replace(` ${phrase} `, ' | ');
    }
    return attributes.map(({ name }) => asked.get(name) ?? null);
  };
}
