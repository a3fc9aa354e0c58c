/**
 * How long an entry stays EVICTING before its latent goes: whoever had a lease on it may still read it
 * to the end, whichever way the clocks of two machines differ.
 */
export const EVICTION_GRACE_MILLISECONDS = 30 * 60 * 1000;

/**
 * How long the tombstone stays: far longer than a Commit comes after its worker's answer, retries and
 * all, so that a late one finds its id taken and does not bring the entry back without its latent.
 */
export const TOMBSTONE_MILLISECONDS = 24 * 60 * 60 * 1000;

/** Objects younger than this may belong to a video in progress, whatever the table says of them. */
export const ORPHAN_AGE_MILLISECONDS = 24 * 60 * 60 * 1000;
