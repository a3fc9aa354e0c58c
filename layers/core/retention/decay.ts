import { InvalidInputError } from '../errors.ts';

/** After how long a hit counts half: two weeks, so that a month's fashion is not next month's. */
export const HALF_LIFE_MILLISECONDS = 14 * 24 * 3_600_000;

/** Weights are 1 at this time. A constant for ever: sums in the table are relative to it. */
export const LANDMARK = Date.UTC(2026, 0, 1);

/**
 * Weights stay below 2^400, about 10^120: DynamoDB keeps numbers up to 10^125. Reached 15 years after
 * the landmark.
 */
const LARGEST_EXPONENT = 400;

/**
 * What something that happens now adds to a decayed sum, for each unit of it: forward decay (Cormode,
 * Shkapenyuk, Srivastava, Xu: Forward Decay, ICDE 2009). Later events weigh more instead of earlier
 * ones less, so a sum is kept by additions alone: one write, and no reading of what was there.
 *
 * @param now epoch milliseconds
 * @throws InvalidInputError when no weight can be told for the time.
 * @example `ADD decayedHits :weight` with decayWeight(Date.now())
 */
export function decayWeight(now: number): number {
  const exponent = (now - LANDMARK) / HALF_LIFE_MILLISECONDS;
  if (exponent >= -LARGEST_EXPONENT && exponent <= LARGEST_EXPONENT) return 2 ** exponent;
  throw new InvalidInputError(
    'now',
    `time ${now} is not within 15 years of the landmark of decayed sums`,
    'give the time as epoch milliseconds',
  );
}

/**
 * What a sum of weighted events is worth at a time: each event counts 2^-(its age / half-life).
 *
 * @param sum of `amount * decayWeight(time of the event)`
 * @param now epoch milliseconds
 * @throws InvalidInputError when the sum is negative or no number.
 */
export function decayedTo(sum: number, now: number): number {
  if (sum >= 0 && Number.isFinite(sum)) return sum / decayWeight(now);
  throw new InvalidInputError(
    'sum',
    `decayed sum ${sum} is not a number from 0 on`,
    'add amount * decayWeight(time) for each event',
  );
}
