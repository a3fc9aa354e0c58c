import type { Context } from 'aws-lambda';

/** How a retention function is called: by its schedule, or by hand with `{ "isDryRun": true }`. */
export interface RetentionEvent {
  isDryRun?: unknown;
  /** To `evict`: the id of the entry whose verdict is to be explained. */
  explain?: unknown;
  /** To `evict`: runs a pass now, due or not. */
  isForced?: unknown;
}

export interface RetentionInput {
  isDryRun: boolean;
  /** Epoch milliseconds after which nothing new is begun. */
  deadline: number;
}

/** What was begun is finished, and the summary written, within this time. */
const TIME_TO_END_MILLISECONDS = 15_000;

export function retentionInput(
  event: RetentionEvent | null,
  context: Pick<Context, 'getRemainingTimeInMillis'>,
): RetentionInput {
  return {
    isDryRun: event?.isDryRun === true,
    deadline: Date.now() + context.getRemainingTimeInMillis() - TIME_TO_END_MILLISECONDS,
  };
}
