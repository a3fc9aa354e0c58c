/** Delays between delivery attempts. */
const PAUSE_SECONDS = [5, 30, 120, 600, 1800, 3600, 3 * 3600] as const;

/** Maximum delivery attempts per event. */
export const MAX_DELIVERIES = PAUSE_SECONDS.length + 1;

/** Relative jitter, so that retries to a recovering receiver are spread out. */
const JITTER = 0.2;

/**
 * Returns the seconds until the next delivery attempt; null after the last one.
 *
 * @param deliveries attempts so far, 1 after the first
 */
export function pauseAfter(deliveries: number, random: () => number = Math.random): number | null {
  const pause = PAUSE_SECONDS[deliveries - 1];
  return pause === undefined ? null : Math.round(pause * (1 + JITTER * (2 * random() - 1)));
}
