/** Adjacent positions `from..to`, `to` excluded, that share one fitted value. */
export interface Block {
  from: number;
  to: number;
  value: number;
}

/**
 * Computes the least-squares fit that never rises: pool adjacent violators (Barlow et al.,
 * Statistical Inference under Order Restrictions, 1972). It fits losses by ascending similarity: a
 * more similar donor loses no more.
 *
 * @param weights sample count of each value
 * @returns blocks in order that cover all positions, with strictly falling values
 */
export function nonIncreasingFit(values: readonly number[], weights: readonly number[]): Block[] {
  const blocks: (Block & { weight: number })[] = [];
  for (const [index, value] of values.entries()) {
    let block = { from: index, to: index + 1, value, weight: weights[index]! };
    for (let last = blocks.at(-1); last && last.value <= block.value; last = blocks.at(-1)) {
      blocks.pop();
      const weight = last.weight + block.weight;
      const sum = last.weight * last.value + block.weight * block.value;
      // Of two positions without samples, the later one's value counts for both.
      const pooled = weight > 0 ? sum / weight : block.value;
      block = { from: last.from, to: block.to, value: pooled, weight };
    }
    blocks.push(block);
  }
  return blocks.map(({ from, to, value }) => ({ from, to, value }));
}
