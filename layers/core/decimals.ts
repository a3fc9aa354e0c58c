/** Smallest magnitude of a DynamoDB number (Amazon DynamoDB developer guide, data types). */
const MIN_MAGNITUDE = 1e-130;

/**
 * The number as every store holds it: what is nearer to 0 than a DynamoDB number can be is 0, and 0
 * has no sign. What a request gives passes through here before it is compared or kept, so that it is
 * the same number when it is read again. Fields have limits of their own, all far below the largest
 * number of the table, 1e126.
 *
 * @param value without a unit
 * @example storedNumber(1e-200) // 0
 */
export function storedNumber(value: number): number {
  return Math.abs(value) < MIN_MAGNITUDE ? 0 : value;
}
