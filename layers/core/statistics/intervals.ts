import { InvalidInputError } from '../errors.ts';
import { createRandomSource } from '../random.ts';

/** A mean and its two-sided 95 % confidence interval. */
export interface Estimate {
  mean: number;
  low: number;
  high: number;
}

/** 95 % quantile of the standard normal distribution, for one-sided bounds. */
export const ONE_SIDED_95 = 1.6448536269514722;
/** The same for two-sided intervals. */
export const TWO_SIDED_95 = 1.959963984540054;

export interface BootstrapOptions {
  /** Number of bootstrap samples; default 2,000. */
  draws?: number;
  seed?: number;
  /** Groups of values that are drawn together; by default each value alone. */
  groups?: readonly number[];
}

const DRAWS = 2000;

/** Computes the mean. @throws InvalidInputError without values. */
export function mean(values: ArrayLike<number>): number {
  requireValues(values);
  let sum = 0;
  for (let index = 0; index < values.length; index++) sum += values[index]!;
  return sum / values.length;
}

/** Computes the standard deviation with n - 1; 0 for a single value. */
export function standardDeviation(values: ArrayLike<number>): number {
  const centre = mean(values);
  if (values.length < 2) return 0;
  let sum = 0;
  for (let index = 0; index < values.length; index++) sum += (values[index]! - centre) ** 2;
  return Math.sqrt(sum / (values.length - 1));
}

/**
 * Computes means of samples drawn with replacement, ascending (percentile bootstrap; Efron and
 * Tibshirani, An Introduction to the Bootstrap, 1993). The same seed gives the same means.
 *
 * @throws InvalidInputError without values
 */
export function bootstrapMeans(
  values: ArrayLike<number>,
  { draws = DRAWS, seed = 0, groups }: BootstrapOptions = {},
): Float64Array {
  requireValues(values);
  const random = createRandomSource(seed, 'bootstrap');
  const { sums, counts } = sumsOf(values, groups);
  const drawn = sums.length;
  const means = new Float64Array(draws);
  for (let draw = 0; draw < draws; draw++) {
    let sum = 0;
    let count = 0;
    for (let index = 0; index < drawn; index++) {
      const group = random.nextBelow(drawn);
      sum += sums[group]!;
      count += counts[group]!;
    }
    means[draw] = sum / count;
  }
  return means.sort();
}

/** Sums the values of each group and counts them. */
function sumsOf(
  values: ArrayLike<number>,
  groups: readonly number[] | undefined,
): { sums: Float64Array; counts: Float64Array } {
  const places = new Map<number, number>();
  const placeOf = (index: number): number => {
    const group = groups === undefined ? index : groups[index]!;
    const place = places.get(group) ?? places.size;
    places.set(group, place);
    return place;
  };
  const sums = new Float64Array(values.length);
  const counts = new Float64Array(values.length);
  for (let index = 0; index < values.length; index++) {
    const place = placeOf(index);
    sums[place]! += values[index]!;
    counts[place]! += 1;
  }
  return { sums: sums.slice(0, places.size), counts: counts.slice(0, places.size) };
}

/**
 * Computes the mean of paired differences and its 95 % bootstrap interval.
 *
 * @throws InvalidInputError without values
 */
export function bootstrapEstimate(
  values: ArrayLike<number>,
  options: BootstrapOptions = {},
): Estimate {
  const means = bootstrapMeans(values, options);
  const centre = mean(values);
  return {
    mean: centre,
    low: Math.min(centre, quantileOf(means, 0.025)),
    high: Math.max(centre, quantileOf(means, 0.975)),
  };
}

/** Computes the one-sided 95 % upper bound of the mean by bootstrap. */
export function upperBound(values: ArrayLike<number>, options: BootstrapOptions = {}): number {
  return quantileOf(bootstrapMeans(values, options), 0.95);
}

/** Computes a quantile of ascending values with linear interpolation. */
export function quantileOf(ascending: ArrayLike<number>, share: number): number {
  requireValues(ascending);
  const position = share * (ascending.length - 1);
  const below = Math.floor(position);
  const above = Math.min(below + 1, ascending.length - 1);
  const part = position - below;
  return ascending[below]! * (1 - part) + ascending[above]! * part;
}

function requireValues(values: ArrayLike<number>): void {
  if (values.length > 0) return;
  throw new InvalidInputError('values', 'there are no values', 'measure at least one sample');
}
