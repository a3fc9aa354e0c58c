/** The item with the largest cosine of unit vectors. */
export interface Nearest<Item> {
  item: Item;
  similarity: number;
}

/** Exact search over unit vectors: no system gains or loses by its index. */
export class NearestSearch<Item> {
  readonly #vectors: Float32Array[] = [];
  readonly #items: Item[] = [];

  add(vector: ArrayLike<number>, item: Item): void {
    this.#vectors.push(Float32Array.from(vector));
    this.#items.push(item);
  }

  /**
   * @param score what is compared instead of the cosine
   */
  find(
    asked: ArrayLike<number>,
    score: (cosine: number, item: Item) => number = (cosine) => cosine,
  ): Nearest<Item> | null {
    let best: Nearest<Item> | null = null;
    for (const [index, vector] of this.#vectors.entries()) {
      const item = this.#items[index]!;
      const similarity = score(dot(asked, vector), item);
      if (best === null || similarity > best.similarity) best = { item, similarity };
    }
    return best;
  }
}

/** Cosine of unit vectors. */
export function dot(one: ArrayLike<number>, other: ArrayLike<number>): number {
  let sum = 0;
  for (let index = 0; index < one.length; index++) sum += one[index]! * other[index]!;
  return sum;
}
