import { createHash } from 'node:crypto';

/**
 * Lower-case hexadecimal sha256 of a list of fields.
 *
 * The fields are hashed as one JSON array, so no two different lists share a text.
 */
export function hashFields(fields: readonly (string | number)[]): string {
  return createHash('sha256').update(JSON.stringify(fields)).digest('hex');
}
