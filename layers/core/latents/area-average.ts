import type { Tensor } from './tensor.ts';

/**
 * Computes the means of a tensor over intervals of one axis.
 *
 * @param edges starts of the intervals and end of the last one, in positions of the axis,
 * ascending; may cut positions
 * @returns a tensor with the same extents except for the axis, which has one less than the number
 * of edges
 */
export function averageAxis(
  { data, shape }: Tensor,
  axis: number,
  edges: readonly number[],
): Tensor {
  const extent = shape[axis]!;
  const inner = shape.slice(axis + 1).reduce((product, each) => product * each, 1);
  const outer = data.length / (extent * inner);
  const count = edges.length - 1;
  const means = new Float32Array(outer * count * inner);
  const intervals = Array.from({ length: count }, (_, interval) =>
    sharesOf(edges[interval]!, edges[interval + 1]!),
  );
  for (let block = 0; block < outer; block++) {
    for (let interval = 0; interval < count; interval++) {
      const { first, shares } = intervals[interval]!;
      const target = (block * count + interval) * inner;
      for (let offset = 0; offset < shares.length; offset++) {
        const share = shares[offset]!;
        const source = (block * extent + first + offset) * inner;
        for (let index = 0; index < inner; index++) {
          means[target + index]! += share * data[source + index]!;
        }
      }
    }
  }
  return { data: means, shape: shape.with(axis, count) };
}

/**
 * Returns the first position of an interval, and the share of the interval in each of its
 * positions.
 */
function sharesOf(from: number, to: number): { first: number; shares: Float64Array } {
  const first = Math.floor(from);
  const shares = Float64Array.from({ length: Math.ceil(to) - first }, (_, offset) => {
    const position = first + offset;
    return (Math.min(to, position + 1) - Math.max(from, position)) / (to - from);
  });
  return { first, shares };
}

/** Returns edges that divide an axis into equal intervals. */
export function evenEdges(extent: number, intervals: number): number[] {
  return Array.from({ length: intervals + 1 }, (_, index) => (index * extent) / intervals);
}

/**
 * Returns the edges of the frames of each latent frame. A causal VAE encodes the first frame alone
 * and groups the others evenly (for instance 1 + 4 (T - 1) frames for T latent ones); other VAEs
 * group all frames evenly.
 */
export function frameEdges(frames: number, latentFrames: number): number[] {
  const later = (frames - 1) / (latentFrames - 1);
  if (!Number.isInteger(later)) return evenEdges(frames, latentFrames);
  return Array.from({ length: latentFrames + 1 }, (_, index) =>
    index === 0 ? 0 : 1 + (index - 1) * later,
  );
}

/**
 * Downsamples a map of a video's pixels, or of another grid, to its latent's extents: the mean over
 * each position's area.
 *
 * @param map `[F, Hp, Wp]`
 * @param grid `[T, H, W]`
 */
export function averageToLatent(map: Tensor, grid: readonly number[]): Tensor {
  const [frames, height, width] = map.shape as [number, number, number];
  const [latentFrames, rows, columns] = grid as [number, number, number];
  // The last axis first, so that each pass leaves less data to the next.
  const narrow = averageAxis(map, 2, evenEdges(width, columns));
  const small = averageAxis(narrow, 1, evenEdges(height, rows));
  return averageAxis(small, 0, frameEdges(frames, latentFrames));
}
