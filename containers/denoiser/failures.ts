import { FlexCacheError } from '#core/errors.ts';

const MAX_BACKOFF_SECONDS = 60;

/** Whether the same may go well a little later. */
export function isTransient(error: unknown): boolean {
  return error instanceof FlexCacheError && error.transient;
}

/** 2, 4, 8, ... seconds. */
export function backoffSeconds(attempt: number): number {
  return Math.min(2 ** attempt, MAX_BACKOFF_SECONDS);
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
