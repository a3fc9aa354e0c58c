import { grow } from './compose.ts';
import type { Tensor } from './tensor.ts';

/** How to convert a likelihood map to an object mask. */
export interface MapReading {
  /** Threshold of the object, 0..1: a likelihood, or for an attention map a share of its range. */
  threshold?: number | undefined;
  /** Positions by which the mask grows in each direction. */
  dilation: number;
}

/** A map with a smaller range shows no place. */
const MIN_RANGE = 1e-6;

/**
 * Minimum weight of an evaluation, so that a run of one evaluation from pure noise has a map, too.
 */
const MIN_WEIGHT = 0.01;

/** Histogram bins for Otsu's threshold. */
const BINS = 256;

/**
 * Adds the attention map of an evaluation. DAAM (Tang et al. 2022, arXiv 2210.04885) sums all
 * steps; here they are weighted by their share of signal, 1 - t, because noisy latents leave little
 * to attend to.
 *
 * @param before sum of the evaluations so far; null before the first
 * @param map `[T, H, W]`
 * @param time noise level of the evaluation, 0..1
 * @returns `[T, H, W]` of arbitrary scale
 */
export function addObjectMap(before: Tensor | null, map: Tensor, time: number): Tensor {
  const weight = Math.max(1 - time, MIN_WEIGHT);
  const sums = before?.data;
  return {
    data: map.data.map((value, index) => (sums?.[index] ?? 0) + weight * value),
    shape: map.shape,
  };
}

/**
 * Computes the object mask of an attention map: normalizes its range to 0..1 and takes positions
 * above the threshold, by default Otsu's. A constant map has no object. Positions of value 0 were
 * not evaluated: they are outside the object and excluded from Otsu's threshold.
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
  // The range of an empty map is not a finite number.
  if (!(range > MIN_RANGE * most)) return { data: map.data.map(() => 0), shape: map.shape };
  const above = threshold ?? otsuThreshold(evaluated.map((value) => (value - least) / range));
  const data = map.data.map((value) => (value > 0 && (value - least) / range > above ? 1 : 0));
  return grow({ data, shape: map.shape }, dilation);
}

/** Default likelihood threshold of an object. */
const EVEN_CHANCE = 0.5;

/**
 * Computes the object mask of a likelihood map: positions above the threshold.
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
 * Computes the threshold that maximizes the variance between two classes of values (Otsu 1979, doi
 * 10.1109/TSMC.1979.4310076), on 256 bins.
 *
 * @param values 0..1
 * @returns threshold; values above it are of the upper class
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
