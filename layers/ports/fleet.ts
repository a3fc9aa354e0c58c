import type { Pool } from '#core/generation.ts';

/** The GPU machines. `AwsFleet` (layers/aws); embedded the one worker is always awake. */
export interface Fleet {
  /**
   * Makes sure that somebody will take up what was just queued. Cheap to call for every message:
   * it asks for capacity at most once in a while.
   */
  wake(pool: Pool): Promise<void>;
  /** Matches a pool to its queue: starts workers for waiting messages, stops idle ones. */
  reconcile(pool: Pool): Promise<PoolLook>;
}

/** What a look at a pool has found. */
export interface PoolLook {
  /** Messages wait, and nobody has taken any for longer than they may wait for a worker. */
  isDeserted: boolean;
}
