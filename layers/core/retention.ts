/**
 * How long an entry stays EVICTING before its latent goes: a look-up leases a donor for 15 minutes,
 * and whoever leased it before it left may still be about to read it.
 */
export const EVICTION_GRACE_MILLISECONDS = 30 * 60 * 1000;

/**
 * How long the tombstone stays: longer than an execution may run (6 hours), so that a late Commit of
 * the same video finds its id taken and does not bring the entry back without its latent.
 */
export const TOMBSTONE_MILLISECONDS = 24 * 60 * 60 * 1000;

/** Objects younger than this may belong to a video in the making, whatever the table says of them. */
export const ORPHAN_AGE_MILLISECONDS = 24 * 60 * 60 * 1000;
