import type { Pool } from '#core/generation.ts';

/** How long a video of a pool keeps its worker, measured. */
export interface PaceTable {
  /** Takes in one more video. @param seconds of its workers, all together */
  record(pool: Pool, seconds: number): Promise<void>;
  /** Of late, on average; null before the first video. */
  secondsPerVideo(pool: Pool): Promise<number | null>;
}
