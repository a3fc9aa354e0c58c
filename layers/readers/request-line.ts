import { InvalidInputError } from '#core/errors.ts';
import type { CacheMode } from '#core/generation.ts';
import { validatePrompt } from '#core/prompt.ts';
import { validateCacheMode, validateSeed, validateSteps } from '#core/request.ts';

/** What a line of a backfill file asks for. */
export interface RequestFields {
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
  return { line, text: text.slice(0, SHOWN_CHARACTERS), error };
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
  const { prompt, seed, cache, steps } = fields;
  if (prompt === undefined || prompt === null) {
    throw new InvalidInputError('prompt', 'prompt is missing', 'give every line a prompt');
  }
  return {
    prompt: validatePrompt(prompt),
    ...(isAbsent(seed) ? {} : { seed: validateSeed(fromDigits(seed)) }),
    ...(isAbsent(cache) ? {} : { cache: validateCacheMode(cache) }),
    ...(isAbsent(steps) ? {} : { steps: validateSteps(fromDigits(steps)) }),
  };
}

/** The number that a text of decimal digits writes; anything else as it is. */
export function fromDigits(value: unknown): unknown {
  return typeof value === 'string' && /^\s*\d+\s*$/.test(value) ? Number(value) : value;
}

function isAbsent(value: unknown): boolean {
  return value === undefined || value === null || value === '';
}
