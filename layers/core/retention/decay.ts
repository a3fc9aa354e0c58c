import { InvalidInputError } from '../errors.ts';

/** Half-life of a hit: two weeks, so that last month's fashion fades. */
export const HALF_LIFE_MILLISECONDS = 14 * 24 * 3_600_000;

/** Time at which weights are 1. Must never change: sums in the table are relative to it. */
export const LANDMARK = Date.UTC(2026, 0, 1);

/**
 * Weights stay below 2^400, about 10^120: DynamoDB stores numbers up to 10^125. Reached 15 years
 * after the landmark.
 */
const MAX_EXPONENT = 400;

/**
 * Computes the weight of an event now in a decayed sum: forward decay (Cormode, Shkapenyuk,
 * Srivastava, Xu: Forward Decay, ICDE 2009). Later events get larger weights, instead of earlier
 * ones smaller ones, so a sum needs only additions: one write without a read.
 *
 * @param now epoch milliseconds
 * @throws InvalidInputError if the time is out of range
 * @example `ADD decayedHits :weight` with decayWeight(Date.now())
 */
export function decayWeight(now: number): number {
  const exponent = (now - LANDMARK) / HALF_LIFE_MILLISECONDS;
  if (exponent >= -MAX_EXPONENT && exponent <= MAX_EXPONENT) return 2 ** exponent;
  throw new InvalidInputError(
    'now',
    `time ${now} is not within 15 years of the landmark of decayed sums`,
    'give the time as epoch milliseconds',
  );
}

/**
 * Computes the value of a sum of weighted events at a time: each event counts 2^-(its age /
 * half-life).
 *
 * @param sum sum of `amount * decayWeight(time of the event)`
 * @param now epoch milliseconds
 * @throws InvalidInputError if the sum is negative or not a number
 */
export function decayedTo(sum: number, now: number): number {
  if (sum >= 0 && Number.isFinite(sum)) return sum / decayWeight(now);
  throw new InvalidInputError(
    'sum',
    `decayed sum ${sum} is not a number from 0 on`,
    'add amount * decayWeight(time) for each event',
  );
}
