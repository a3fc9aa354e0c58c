import type { RandomSource } from '#core/random.ts';

/** Draws uniformly from [0, 1). */
export function drawUniform(random: RandomSource): number {
  return random.nextUint32() / 2 ** 32;
}

export function drawBoolean(random: RandomSource, probability: number): boolean {
  return drawUniform(random) < probability;
}

export function drawOne<Item>(random: RandomSource, items: readonly Item[]): Item {
  return items[random.nextBelow(items.length)]!;
}

/** Shuffles the items uniformly (Fisher and Yates). */
export function drawOrder<Item>(random: RandomSource, items: readonly Item[]): Item[] {
  const order = [...items];
  for (let last = order.length - 1; last > 0; last--) {
    const other = random.nextBelow(last + 1);
    [order[last], order[other]] = [order[other]!, order[last]!];
  }
  return order;
}

/** Draws ranks 0..count-1 with frequency proportional to `(rank + 1) ** -slope`. */
export class RankSource {
  readonly #upTo: Float64Array;
  readonly #random: RandomSource;

  constructor(random: RandomSource, count: number, slope: number) {
    this.#random = random;
    this.#upTo = new Float64Array(count);
    let sum = 0;
    for (let rank = 0; rank < count; rank++) {
      sum += (rank + 1) ** -slope;
      this.#upTo[rank] = sum;
    }
  }

  next(): number {
    const upTo = this.#upTo;
    const target = drawUniform(this.#random) * upTo.at(-1)!;
    let low = 0;
    let high = upTo.length - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (upTo[middle]! > target) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
