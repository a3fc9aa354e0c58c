import type { Pool } from '../core/generation.ts';

/** The GPU machines. `AwsFleet` (layers/stores); embedded the one worker is always awake. */
export interface Fleet {
  /**
   * Makes sure that somebody will take up what was just queued. Cheap to call for every message:
   * it asks for capacity at most once in a while.
   */
  wake(pool: Pool): Promise<void>;
  /** Brings both pools in line with their queues: wakes what was forgotten, lets go what has been idle. */
  reconcile(): Promise<void>;
}
