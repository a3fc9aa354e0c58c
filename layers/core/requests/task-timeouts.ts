import type { Pool } from '../generation.ts';

/** How long a request may wait for a worker and be worked on. */
export interface TaskTimeouts {
  /**
   * In all, waiting included. Far longer than any wait that a request is taken in for: who waits in a
   * queue that moves is not given up. Donors are leased for as long; whoever ends sooner gives them
   * back sooner. A worker that dies is found much earlier, by its queue's visibility.
   */
  totalSeconds: number;
  /**
   * That messages may wait while nobody takes any: there are no machines, or none of them gets ready.
   * Then those that wait are given up.
   */
  withoutWorkerSeconds: number;
}

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Somebody waits for an interactive video; a backfill may queue the work of days at once. */
export const TASK_TIMEOUTS: Readonly<Record<Pool, TaskTimeouts>> = {
  interactive: { totalSeconds: DAY, withoutWorkerSeconds: 30 * MINUTE },
  backfill: { totalSeconds: 7 * DAY, withoutWorkerSeconds: DAY },
};

/**
 * What is expected to wait longer for its worker is not taken in: whoever asks can come back when
 * there is room. A backfill waits without anybody in front of it.
 */
export const MAX_EXPECTED_WAIT_SECONDS = HOUR;

/** That a backfill may take: weeks of a few workers. */
export const MAX_BACKFILL_SECONDS = 30 * DAY;

/** Between two looks of the `fleet` function at queues and machines. */
export const FLEET_LOOK_SECONDS = MINUTE;
