import { createHash } from 'node:crypto';
import { InvalidInputError } from '#core/errors.ts';

/** Segments separated by `/`, none of them `.` or `..`. */
export const OBJECT_KEY =
  /^(?!\.{1,2}(\/|$))[A-Za-z0-9_.=-]+(\/(?!\.{1,2}(\/|$))[A-Za-z0-9_.=-]+)*$/;
/** S3 takes keys of 1024 bytes; our characters are one byte each. */
const KEY_CHARACTERS = 1024;

/** @throws InvalidInputError unless the key is `[A-Za-z0-9_.=-]` segments separated by `/`, none of them `.` or `..`. */
export function validateObjectKey(key: string): void {
  if (OBJECT_KEY.test(key) && key.length <= KEY_CHARACTERS) return;
  throw new InvalidInputError(
    'key',
    `object key ${JSON.stringify(key)} is not made of [A-Za-z0-9_.=-] segments separated by /`,
    `use such a key, of at most ${KEY_CHARACTERS} characters`,
  );
}

/** Lower-case hexadecimal. */
export function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
