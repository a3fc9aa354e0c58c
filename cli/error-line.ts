import { FlexCacheError } from '#core/errors.ts';

/** An error as `--json` prints it. */
export interface ErrorReport {
  code: string;
  message: string;
  field: string | null;
  fix: string | null;
}

const INVALID_INPUT_CODES: readonly string[] = [
  'invalid_input',
  'prompt_empty',
  'prompt_too_long',
  'prompt_without_words',
];

/** Whether the request itself was wrong, so that no retry can help. */
export function isInvalidInput(error: unknown): error is FlexCacheError {
  return error instanceof FlexCacheError && isInvalidInputCode(error.code);
}

export function isInvalidInputCode(code: string): boolean {
  return INVALID_INPUT_CODES.includes(code);
}

export function errorReport(error: unknown): ErrorReport {
  if (error instanceof FlexCacheError) {
    return {
      code: error.code,
      message: error.message,
      field: error.field ?? null,
      fix: error.fix ?? null,
    };
  }
  return {
    code: 'internal',
    message: error instanceof Error ? error.message : String(error),
    field: null,
    fix: 'run again with FLEXCACHE_DEBUG=1 to see where it happened',
  };
}

/** One line with the stable code, whatever the message holds. `where` is a place in the user's input. */
export function errorLine(report: ErrorReport, where?: string): string {
  const pieces = [report.code, where, report.message, report.fix].filter((piece) => piece);
  return `flexcache: ${pieces.map((piece) => oneLine(piece!)).join(': ')}\n`;
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim();
}
