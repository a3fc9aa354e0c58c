import { hashFields } from '../hash.ts';
import type { CachePartition } from '../requests/identity.ts';
import { EQUALLY_GOOD_MARGIN } from '../planning/plan.ts';
import { createRandomSource } from '../random.ts';

/** Number of planes of a signature. */
const PLANES = 32;

const planesByDimensions = new Map<number, readonly Float64Array[]>();

/**
 * Computes a hash shared by entries that may be duplicates: the partition, and the side of some
 * fixed random planes on which the vector lies (Charikar 2002, "Similarity estimation techniques
 * from rounding algorithms": two vectors at angle θ agree in all of b planes with probability (1 -
 * θ/π)^b). Vectors that are equally good for every request agree in all 32 with a probability of 95
 * %; vectors that agree are then compared.
 *
 * @returns 16 hexadecimal digits
 */
export function signatureOf(partition: CachePartition, vector: readonly number[]): string {
  const { compatibilityKey, scope, tenant } = partition;
  const sides = planesOf(vector.length).map((plane) => (sideOf(plane, vector) ? '1' : '0'));
  const fields = [compatibilityKey, scope, scope === 'tenant' ? tenant : '', sides.join('')];
  return hashFields(['likeness', ...fields]).slice(0, 16);
}

/**
 * Whether no request can distinguish two unit vectors: a request's cosines with them differ by at
 * most their distance, and donors within `EQUALLY_GOOD_MARGIN` are equally good.
 */
export function areEquallyGood(
  one: readonly number[] | null,
  other: readonly number[] | null,
): boolean {
  if (one === null || other === null) return one === other;
  if (one.length !== other.length) return false;
  let squares = 0;
  for (let index = 0; index < one.length; index++) squares += (one[index]! - other[index]!) ** 2;
  return Math.sqrt(squares) <= EQUALLY_GOOD_MARGIN;
}

function planesOf(dimensions: number): readonly Float64Array[] {
  let planes = planesByDimensions.get(dimensions);
  if (planes === undefined) {
    const random = createRandomSource(dimensions, 'likeness');
    const coordinate = (): number => random.nextUint32() / 2 ** 31 - 1;
    planes = Array.from({ length: PLANES }, () =>
      Float64Array.from({ length: dimensions }, () => coordinate() + coordinate() + coordinate()),
    );
    planesByDimensions.set(dimensions, planes);
  }
  return planes;
}

function sideOf(plane: Float64Array, vector: readonly number[]): boolean {
  let sum = 0;
  for (let index = 0; index < plane.length; index++) sum += plane[index]! * vector[index]!;
  return sum >= 0;
}
