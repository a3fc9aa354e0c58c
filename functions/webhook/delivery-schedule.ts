/** Pauses between the times that an announcement is sent, until it is given up. */
const PAUSE_SECONDS = [5, 30, 120, 600, 1800, 3600, 3 * 3600] as const;

/** How often an announcement is sent at most. */
export const MOST_DELIVERIES = PAUSE_SECONDS.length + 1;

/** Receivers that were down together must not be woken together. */
const JITTER = 0.2;

/**
 * Seconds until a failed announcement is sent again; null when it is given up.
 *
 * @param deliveries how often it was sent, 1 after the first time
 */
export function pauseAfter(deliveries: number, random: () => number = Math.random): number | null {
  const pause = PAUSE_SECONDS[deliveries - 1];
  return pause === undefined ? null : Math.round(pause * (1 + JITTER * (2 * random() - 1)));
}
