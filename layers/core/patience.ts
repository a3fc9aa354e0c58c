import type { Pool } from './generation.ts';

/** How long a request may wait for a worker and be worked on. */
export interface Patience {
  /**
   * Without a sign of a worker. The clock runs while a message still waits in its queue: longer than
   * the worst queue and a GPU machine's start together. A worker that dies is found much earlier, by
   * its queue's visibility.
   */
  heartbeatSeconds: number;
  /** In all. Donors are leased for as long; whoever ends sooner gives them back sooner. */
  totalSeconds: number;
}

const MINUTE = 60;
const HOUR = 60 * MINUTE;

/** Somebody waits for an interactive video; a backfill may queue a night's work at once. */
export const PATIENCE: Readonly<Record<Pool, Patience>> = {
  interactive: { heartbeatSeconds: 30 * MINUTE, totalSeconds: 2 * HOUR },
  backfill: { heartbeatSeconds: 24 * HOUR, totalSeconds: 30 * HOUR },
};
