import { InvalidInputError } from '#core/errors.ts';
import type { CacheMode } from '#core/generation.ts';
import { validateNegativePrompt, validatePrompt } from '#core/requests/prompt.ts';
import {
  validateCacheMode,
  validateGuidanceScale,
  validatePositiveNumber,
  validateSeed,
  validateSteps,
} from '#core/requests/request.ts';
import type { WireChoice } from '#core/requests/wire-choice.ts';

/**
 * What a line of a backfill file asks for. Whether a package can make it is checked where the package is
 * known (`choiceOf`).
 */
export interface RequestFields extends WireChoice {
  prompt: string;
  seed?: number;
  cache?: CacheMode;
  steps?: number;
}

/** The names that a line or a header may give. */
export const REQUEST_FIELDS = [
  'prompt',
  'seed',
  'cache',
  'steps',
  'negative_prompt',
  'guidance_scale',
  'size',
  'width',
  'height',
  'num_frames',
  'fps',
  'n',
] as const satisfies readonly (keyof RequestFields)[];

export interface RequestLine {
  /** 1-based line of the file where the request begins. */
  line: number;
  request: RequestFields;
}

/** A line that asks for nothing that could be made; the lines after it are still read. */
export interface RejectedLine {
  line: number;
  /** The line's beginning, to recognise it by. */
  text: string;
  error: InvalidInputError;
}

export type ReadLine = RequestLine | RejectedLine;

/** No sensible prompt is longer; bounds the memory that one broken line can take. */
export const MAX_LINE_BYTES = 64 * 1024;

const SHOWN_CHARACTERS = 60;

export function rejectLine(line: number, text: string, error: InvalidInputError): RejectedLine {
  return { line, text: beginningOf(text), error };
}

/** As much of a line as it is recognised by. */
export function beginningOf(text: string): string {
  return text.slice(0, SHOWN_CHARACTERS);
}

export function tooLongLine(line: number, text: string): RejectedLine {
  return rejectLine(
    line,
    text,
    new InvalidInputError(
      'prompt',
      `the line is longer than ${MAX_LINE_BYTES} bytes`,
      'shorten the prompt, or close an open quote',
      'prompt_too_long',
    ),
  );
}

/**
 * Checks the fields of one line and returns the prompt normalised. Other fields that are absent, null
 * or '' are left to their defaults. Numbers may be given in digits.
 *
 * @throws InvalidInputError
 */
export function parseRequestFields(fields: Readonly<Record<string, unknown>>): RequestFields {
  const { prompt, seed, cache, steps, size } = fields;
  const { guidance_scale: guidanceScale, negative_prompt: negativePrompt } = fields;
  if (prompt === undefined || prompt === null) {
    throw new InvalidInputError('prompt', 'prompt is missing', 'give every line a prompt');
  }
  return {
    prompt: validatePrompt(prompt),
    ...(isAbsent(seed) ? {} : { seed: validateSeed(fromDigits(seed)) }),
    ...(isAbsent(cache) ? {} : { cache: validateCacheMode(cache) }),
    ...(isAbsent(steps) ? {} : { steps: validateSteps(fromDigits(steps)) }),
    ...(isAbsent(negativePrompt)
      ? {}
      : { negative_prompt: validateNegativePrompt(negativePrompt, 'negative_prompt') }),
    ...(isAbsent(guidanceScale)
      ? {}
      : { guidance_scale: validateGuidanceScale(fromDecimals(guidanceScale), 'guidance_scale') }),
    ...(isAbsent(size) ? {} : { size: String(size) }),
    ...numbersOf(fields),
  };
}

const NUMBERS = ['width', 'height', 'num_frames', 'fps', 'n'] as const;

/** @throws InvalidInputError naming the first that is no number above 0. */
function numbersOf(
  fields: Readonly<Record<string, unknown>>,
): Pick<RequestFields, (typeof NUMBERS)[number]> {
  const numbers: Pick<RequestFields, (typeof NUMBERS)[number]> = {};
  for (const name of NUMBERS) {
    if (isAbsent(fields[name])) continue;
    numbers[name] = validatePositiveNumber(name, fromDecimals(fields[name]));
  }
  return numbers;
}

/** The number that a text of decimal digits writes; anything else as it is. */
export function fromDigits(value: unknown): unknown {
  return typeof value === 'string' && /^\s*\d+\s*$/.test(value) ? Number(value) : value;
}

/** The number that a text such as `0.5` writes; anything else as it is. */
export function fromDecimals(value: unknown): unknown {
  return typeof value === 'string' && /^\s*\d*\.?\d+\s*$/.test(value) ? Number(value) : value;
}

function isAbsent(value: unknown): boolean {
  return value === undefined || value === null || value === '';
}
