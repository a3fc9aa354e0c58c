import type { Tensor } from './tensor.ts';

/**
 * Means of a tensor over the intervals of one axis.
 *
 * @param edges where the intervals begin and the last one ends, in positions of the axis, ascending; they may cut positions
 * @returns the same extents but for the axis, which has one less than there are edges
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

/** The first position of an interval, and the share of the interval that each of its positions has. */
function sharesOf(from: number, to: number): { first: number; shares: Float64Array } {
  const first = Math.floor(from);
  const shares = Float64Array.from({ length: Math.ceil(to) - first }, (_, offset) => {
    const position = first + offset;
    return (Math.min(to, position + 1) - Math.max(from, position)) / (to - from);
  });
  return { first, shares };
}

/** Edges that divide an axis into intervals of one length. */
export function evenEdges(extent: number, intervals: number): number[] {
  return Array.from({ length: intervals + 1 }, (_, index) => (index * extent) / intervals);
}

/**
 * Edges of the frames that each latent frame stands for. A causal VAE has a first frame by itself and as many for every
 * other (1 + 4 (T - 1) frames for T latent ones, for instance); others have as many for each.
 */
export function frameEdges(frames: number, latentFrames: number): number[] {
  const later = (frames - 1) / (latentFrames - 1);
  if (!Number.isInteger(later)) return evenEdges(frames, latentFrames);
  return Array.from({ length: latentFrames + 1 }, (_, index) =>
    index === 0 ? 0 : 1 + (index - 1) * later,
  );
}

/**
 * A map of a video's pixels, or of another grid, at the extents of its latent: the mean over what each position stands for.
 *
 * @param map `[F, Hp, Wp]`
 * @param grid `[T, H, W]`
 */
export function averageToLatent(map: Tensor, grid: readonly number[]): Tensor {
  const [frames, height, width] = map.shape as [number, number, number];
  const [latentFrames, rows, columns] = grid as [number, number, number];
  // The last axis first: every pass leaves less to the next.
  const narrow = averageAxis(map, 2, evenEdges(width, columns));
  const small = averageAxis(narrow, 1, evenEdges(height, rows));
  return averageAxis(small, 0, frameEdges(frames, latentFrames));
}
