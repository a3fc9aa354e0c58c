/**
 * How long an entry stays EVICTING before its latent is deleted, so that lease owners can finish
 * reading it even if clocks of machines differ.
 */
export const EVICTION_GRACE_MILLISECONDS = 30 * 60 * 1000;

/**
 * How long the tombstone stays: far longer than a Commit may follow its worker's answer, including
 * retries, so that a late Commit cannot restore the entry without its latent.
 */
export const TOMBSTONE_MILLISECONDS = 24 * 60 * 60 * 1000;

/** Objects younger than this may belong to a video in progress, whatever the table says of them. */
export const ORPHAN_AGE_MILLISECONDS = 24 * 60 * 60 * 1000;
