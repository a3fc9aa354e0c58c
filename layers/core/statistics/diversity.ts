/**
 * Computes the mean distance between all pairs of rows: how much the videos of one prompt vary with
 * the seed.
 *
 * @param rows feature vectors of one prompt's videos
 * @returns 0 for fewer than two rows
 */
export function meanPairwiseDistance(rows: readonly ArrayLike<number>[]): number {
  let sum = 0;
  let pairs = 0;
  for (const [index, one] of rows.entries()) {
    for (const other of rows.slice(index + 1)) {
      sum += distanceOf(one, other);
      pairs += 1;
    }
  }
  return pairs === 0 ? 0 : sum / pairs;
}

/** Computes the Euclidean distance. */
export function distanceOf(one: ArrayLike<number>, other: ArrayLike<number>): number {
  let sum = 0;
  for (let index = 0; index < one.length; index++) sum += (one[index]! - other[index]!) ** 2;
  return Math.sqrt(sum);
}
