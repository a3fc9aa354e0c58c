import { FlexCacheError } from '#core/errors.ts';

/** The code of the FlexCacheError that the call raises; `null` when it raises none. */
export function codeOf(call: () => unknown): string | null {
  try {
    call();
  } catch (error) {
    if (error instanceof FlexCacheError) return error.code;
    throw error;
  }
  return null;
}
