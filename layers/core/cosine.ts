/** Cosine of two unit vectors; an index says the same of what it holds. */
export function cosine(one: readonly number[], other: readonly number[]): number {
  let sum = 0;
  for (const [index, value] of one.entries()) sum += value * other[index]!;
  return Math.min(1, Math.max(-1, sum));
}
