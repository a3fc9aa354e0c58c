import { InvalidInputError } from '../errors.ts';
import { validatePlainText } from './plain-text.ts';

/** Longest prompt, in Unicode code points after normalisation. */
export const MAX_PROMPT_CHARACTERS = 2000;

const WHITE_SPACE_AND_CONTROLS = /[\s\p{Cc}]+/gu;
const LETTER_OR_DIGIT = /[\p{L}\p{N}]/u;
/** NFKC makes at most 18 code points of one (U+FDFA), so nothing longer than this needs normalising. */
const MAX_RAW_PROMPT_UNITS = 2 * MAX_PROMPT_CHARACTERS * 18;

/**
 * The prompt as it is stored and shown: NFKC, well-formed, one space between words, none around.
 * Normalising twice changes nothing.
 */
export function normalisePrompt(prompt: string): string {
  return prompt.toWellFormed().normalize('NFKC').replace(WHITE_SPACE_AND_CONTROLS, ' ').trim();
}

/** The prompt as keys see it: normalised and lower-case. */
export function promptForKeys(prompt: string): string {
  return normalisePrompt(normalisePrompt(prompt).toLowerCase());
}

/**
 * Checks a prompt and returns it normalised.
 *
 * @throws InvalidInputError `prompt_empty`, `prompt_too_long`, `prompt_without_words` (no letter and
 * no digit in any script), or `invalid_input` when it is not a string, or has a lone surrogate or a
 * control character that is not white space.
 */
export function validatePrompt(prompt: unknown): string {
  if (typeof prompt !== 'string') {
    throw new InvalidInputError(
      'prompt',
      `prompt must be a string, not ${prompt === null ? 'null' : typeof prompt}`,
      'give the prompt as text',
    );
  }
  if (prompt.length <= MAX_RAW_PROMPT_UNITS) validatePlainText('prompt', prompt);
  const normalised = prompt.length > MAX_RAW_PROMPT_UNITS ? prompt : normalisePrompt(prompt);
  const characters = countCodePoints(normalised);
  if (characters > MAX_PROMPT_CHARACTERS) {
    throw new InvalidInputError(
      'prompt',
      `prompt has ${characters} characters; at most ${MAX_PROMPT_CHARACTERS} are allowed`,
      `shorten the prompt to ${MAX_PROMPT_CHARACTERS} characters`,
      'prompt_too_long',
    );
  }
  if (normalised.length === 0) {
    throw new InvalidInputError(
      'prompt',
      'prompt is empty',
      'describe the video in a few words',
      'prompt_empty',
    );
  }
  if (!LETTER_OR_DIGIT.test(normalised)) {
    throw new InvalidInputError(
      'prompt',
      'prompt has no letter and no digit',
      'describe the video in words; emoji alone are not understood',
      'prompt_without_words',
    );
  }
  return normalised;
}

/**
 * Checks a negative prompt and returns it normalised; it may be empty.
 *
 * @throws InvalidInputError naming the field, `prompt_too_long` or `invalid_input`
 */
export function validateNegativePrompt(prompt: unknown, field = 'negativePrompt'): string {
  if (typeof prompt !== 'string') {
    throw new InvalidInputError(
      field,
      `the negative prompt must be a string, not ${prompt === null ? 'null' : typeof prompt}`,
      'give it as text, or leave it out',
    );
  }
  const isShort = prompt.length <= MAX_RAW_PROMPT_UNITS;
  const normalised = isShort ? normalisePrompt(validatePlainText(field, prompt)) : prompt;
  const characters = countCodePoints(normalised);
  if (characters <= MAX_PROMPT_CHARACTERS) return normalised;
  throw new InvalidInputError(
    field,
    `the negative prompt has ${characters} characters; at most ${MAX_PROMPT_CHARACTERS} are allowed`,
    `shorten it to ${MAX_PROMPT_CHARACTERS} characters`,
    'prompt_too_long',
  );
}

function countCodePoints(text: string): number {
  let count = 0;
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    const isLowSurrogate = unit >= 0xdc00 && unit <= 0xdfff;
    if (!isLowSurrogate) count++;
  }
  return count;
}
