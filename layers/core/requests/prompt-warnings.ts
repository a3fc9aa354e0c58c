import type { PromptReading } from '../generation.ts';

export const PROMPT_WARNING_CODES = ['prompt_cut', 'unknown_words', 'negative_prompt_cut'] as const;

/** Something of a prompt that its video cannot show. */
export interface PromptWarning {
  /** `..._cut`: beyond the model's token limit. `unknown_words`: not in its vocabulary. */
  code: (typeof PROMPT_WARNING_CODES)[number];
  /** What was left out and what to do, in one sentence. */
  message: string;
  /** The words it is about, as written. */
  words: string[];
}

/** Words that a message names; `words` has them all. */
const NAMED_WORDS = 8;

/** What whoever asked should know of a prompt; nothing where its model took all of it in. */
export function promptWarnings(reading: PromptReading): PromptWarning[] {
  const warnings = cutWarnings(reading, 'prompt_cut', 'prompt');
  const { unknownWords, cutWords } = reading;
  const cut = new Set(cutWords);
  const unknown = unknownWords.filter((word) => !cut.has(word));
  if (unknown.length > 0) {
    warnings.push({
      code: 'unknown_words',
      message: `the model does not know ${listed(unknown)}. Use other words for what the video should show`,
      words: unknown,
    });
  }
  return warnings;
}

/** What whoever asked should know of a negative prompt; what is unknown in it only leads away from nothing. */
export function negativePromptWarnings(reading: PromptReading): PromptWarning[] {
  return cutWarnings(reading, 'negative_prompt_cut', 'negative prompt');
}

function cutWarnings(
  { cutTokens, cutWords }: PromptReading,
  code: PromptWarning['code'],
  name: string,
): PromptWarning[] {
  if (cutTokens === 0) return [];
  const tokens = cutTokens === 1 ? '1 token' : `${cutTokens} tokens`;
  const message = `the ${name} is ${tokens} longer than the model takes; left out: ${listed(cutWords)}. Shorten the ${name}`;
  return [{ code, message, words: cutWords }];
}

function listed(words: readonly string[]): string {
  const named = words
    .slice(0, NAMED_WORDS)
    .map((word) => `"${word}"`)
    .join(', ');
  const more = words.length - NAMED_WORDS;
  return more > 0 ? `${named} and ${more} more` : named;
}
