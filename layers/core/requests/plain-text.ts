import { InvalidInputError } from '../errors.ts';

/** Control characters that separate words; any other has no place in a text. */
const WHITE_SPACE_CONTROLS = '\\t\\n\\v\\f\\r\\u0085';

const CONTROL = new RegExp(`(?![${WHITE_SPACE_CONTROLS}])\\p{Cc}`, 'u');

const LONE_SURROGATE = /\p{Cs}/u;

/**
 * Checks that a text can be stored and shown as it is: it has a UTF-8 form, and no control character
 * but white space.
 *
 * @param field what the text is, for the error
 * @throws InvalidInputError `invalid_input` naming the field, the first character that is wrong, and
 * where it is.
 */
export function validatePlainText(field: string, text: string): string {
  const found = LONE_SURROGATE.exec(text) ?? CONTROL.exec(text);
  if (found === null) return text;
  const code = found[0].charCodeAt(0);
  const name = `U+${code.toString(16).toUpperCase().padStart(4, '0')}`;
  const isSurrogate = code >= 0xd800;
  throw new InvalidInputError(
    field,
    `${field} has ${isSurrogate ? 'half a surrogate pair' : 'a control character'} (${name}) at position ${found.index + 1}`,
    isSurrogate
      ? 'send the whole character, or leave it out'
      : 'leave out control characters other than tabs and line ends',
  );
}
