import { MAX_GENERATION } from '../plan.ts';

/**
 * What entries are told apart by when their reuse is learned: how often they were hit, or, before the
 * first hit, how many neighbours they had when they were made. The class of an entry changes only
 * with a hit, so that one stretch of waiting lies in one class.
 */

/** Decayed hits, as of the last one, up to which an entry is in each class. */
const HITS_UP_TO = [1.5, 3, 6, 12, 24, Infinity] as const;

/** Neighbours up to which an entry that was never hit is in each class. */
const NEIGHBOURS_UP_TO = [0, 1, 3, 7, 15, Infinity] as const;

/** Never hit and too many reuses away from a full generation to be a donor: only exact hits are left. */
const NO_DONOR = NEIGHBOURS_UP_TO.length + HITS_UP_TO.length;

export const REUSE_CLASSES = NO_DONOR + 1;

/** @param neighbours entries that could have been its donors; 0 when that was not recorded */
export function classOfFresh(neighbours: number, generation: number): number {
  if (generation >= MAX_GENERATION) return NO_DONOR;
  return NEIGHBOURS_UP_TO.findIndex((limit) => neighbours <= limit);
}

/** @param decayedHits as of the last hit, that one included: 1 and more */
export function classOfHit(decayedHits: number): number {
  return NEIGHBOURS_UP_TO.length + HITS_UP_TO.findIndex((limit) => decayedHits <= limit);
}

/** For people: `never hit, 2-3 neighbours` or `hit 1.5-3 times`. */
export function nameOfClass(reuseClass: number): string {
  if (reuseClass === NO_DONOR) return 'never hit, no donor';
  const isFresh = reuseClass < NEIGHBOURS_UP_TO.length;
  const limits: readonly number[] = isFresh ? NEIGHBOURS_UP_TO : HITS_UP_TO;
  const index = isFresh ? reuseClass : reuseClass - NEIGHBOURS_UP_TO.length;
  const limit = limits[index]!;
  const below = index === 0 ? (isFresh ? 0 : 1) : limits[index - 1]! + (isFresh ? 1 : 0);
  const range =
    limit === Infinity ? `${below} and more` : limit === below ? `${limit}` : `${below}-${limit}`;
  return isFresh ? `never hit, ${range} neighbours` : `hit ${range} times`;
}

/** Waiting times are told apart by factors of two, from a minute to some four years. */
const FIRST_BIN_SECONDS = 60;

export const AGE_BINS = 22;

/** @param age seconds since the last use */
export function ageBinOf(age: number): number {
  if (age < FIRST_BIN_SECONDS) return 0;
  return Math.min(AGE_BINS - 1, 1 + Math.floor(Math.log2(age / FIRST_BIN_SECONDS)));
}

/** Where a bin begins, seconds. */
export function startOfBin(bin: number): number {
  return bin === 0 ? 0 : FIRST_BIN_SECONDS * 2 ** (bin - 1);
}
