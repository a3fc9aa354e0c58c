import { grow } from './compose.ts';
import type { Tensor } from './tensor.ts';

/** How a map of likelihoods becomes an object mask. */
export interface MapReading {
  /** Above which the object is, 0..1: a likelihood, or of an attention map the share of its range. */
  threshold?: number | undefined;
  /** Positions by which the mask grows in each direction. */
  dilation: number;
}

/** A map that differs less than this between its positions tells no place. */
const LEAST_RANGE = 1e-6;

/** The least weight of an evaluation: a run of one evaluation from noise alone has a map, too. */
const LEAST_WEIGHT = 0.01;

/** Bins of the histogram that Otsu's threshold is looked for in. */
const BINS = 256;

/**
 * Adds what the evaluation at one noise level attended to. DAAM (Tang et al. 2022, arXiv 2210.04885) sums all steps;
 * here they count by the share of signal that they read, 1 - t: at much noise there is little to attend to.
 *
 * @param before sum of the evaluations so far; null before the first
 * @param map `[T, H, W]`
 * @param time noise level of the evaluation, 0..1
 * @returns `[T, H, W]`; its scale means nothing
 */
export function addObjectMap(before: Tensor | null, map: Tensor, time: number): Tensor {
  const weight = Math.max(1 - time, LEAST_WEIGHT);
  const sums = before?.data;
  return {
    data: map.data.map((value, index) => (sums?.[index] ?? 0) + weight * value),
    shape: map.shape,
  };
}

/**
 * The object mask of an attention map: its range is brought to 0..1, and the object is where it is above the
 * threshold, Otsu's unless given. A map that is the same everywhere has no object. Positions that are 0 were not evaluated: they are outside the
 * object, and do not count for Otsu's threshold.
 *
 * @param map `[T, H, W]`, not negative
 * @returns `[T, H, W]` of 0 and 1
 */
export function maskOfAttention(map: Tensor, { threshold, dilation }: MapReading): Tensor {
  const evaluated = map.data.filter((value) => value > 0);
  let [least, most] = [Infinity, -Infinity];
  for (const value of evaluated) {
    least = Math.min(least, value);
    most = Math.max(most, value);
  }
  const range = most - least;
  // Of nothing at all the range is no number above anything.
  if (!(range > LEAST_RANGE * most)) return { data: map.data.map(() => 0), shape: map.shape };
  const above = threshold ?? otsuThreshold(evaluated.map((value) => (value - least) / range));
  const data = map.data.map((value) => (value > 0 && (value - least) / range > above ? 1 : 0));
  return grow({ data, shape: map.shape }, dilation);
}

/** The least likelihood of an object, where nothing else is said. */
const EVEN_CHANCE = 0.5;

/**
 * The object mask of a map of likelihoods: the object is where they are above the threshold.
 *
 * @param map `[T, H, W]`, 0..1
 * @returns `[T, H, W]` of 0 and 1
 */
export function maskOfLikelihood(
  { data, shape }: Tensor,
  { threshold = EVEN_CHANCE, dilation }: MapReading,
): Tensor {
  return grow({ data: data.map((value) => (value > threshold ? 1 : 0)), shape }, dilation);
}

/**
 * The threshold that divides values into two classes of the largest variance between them (Otsu 1979,
 * doi 10.1109/TSMC.1979.4310076), on 256 bins.
 *
 * @param values 0..1
 * @returns values above it are of the upper class
 */
export function otsuThreshold(values: Float32Array): number {
  const counts = new Float64Array(BINS);
  for (const value of values) counts[Math.min(BINS - 1, Math.floor(value * BINS))]!++;
  let sumOfAll = 0;
  for (let bin = 0; bin < BINS; bin++) sumOfAll += bin * counts[bin]!;
  let [count, sum, best, most] = [0, 0, 0, -1];
  for (let bin = 0; bin < BINS - 1; bin++) {
    count += counts[bin]!;
    sum += bin * counts[bin]!;
    const others = values.length - count;
    if (count === 0 || others === 0) continue;
    const difference = sum / count - (sumOfAll - sum) / others;
    const between = count * others * difference ** 2;
    if (between > most) [best, most] = [bin, between];
  }
  return (best + 1) / BINS;
}
