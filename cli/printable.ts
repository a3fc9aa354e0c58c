import type { TextOutput } from './context.ts';

/** Control characters, but for tabs and the ends of lines, and those that change the direction of text. */
const NOT_SHOWN = /(?![\t\n]|\r\n)[\p{Cc}\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu;
const HEX_DIGITS = 4;

/**
 * Text that changes nothing on a terminal but what is written there: control characters become
 * `\uXXXX`, which in JSON still means the same.
 */
export function printable(text: string): string {
  return text.replaceAll(
    NOT_SHOWN,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(HEX_DIGITS, '0')}`,
  );
}

/** An output that gets printable text alone. */
export function printableOutput(output: TextOutput): TextOutput {
  return { write: (text) => output.write(printable(text)) };
}
