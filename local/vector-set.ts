import type { VectorMatch } from '#ports/vector-index.ts';

/** Share and least number of vectors that pass the sign filter and are compared exactly. */
const CANDIDATE_SHARE = 1 / 32;
const MIN_CANDIDATES = 2000;
const CANDIDATES_PER_MATCH = 20;
const MIN_CAPACITY = 64;
const BITS_PER_WORD = 32;

/**
 * Unit vectors of one scope in memory, packed.
 *
 * A query compares every vector, or, above `prefilterAbove` vectors, those whose signs differ from
 * the query's in the fewest dimensions: one bit an element is read instead of four bytes.
 */
export class VectorSet {
  readonly dimensions: number;
  readonly #words: number;
  readonly #slots = new Map<string, number>();
  readonly #ids: string[] = [];
  #vectors: Float32Array;
  #signs: Uint32Array;

  constructor(dimensions: number) {
    this.dimensions = dimensions;
    this.#words = Math.ceil(dimensions / BITS_PER_WORD);
    this.#vectors = new Float32Array(MIN_CAPACITY * dimensions);
    this.#signs = new Uint32Array(MIN_CAPACITY * this.#words);
  }

  get size(): number {
    return this.#ids.length;
  }

  set(entryId: string, vector: ArrayLike<number>): void {
    let slot = this.#slots.get(entryId);
    if (slot === undefined) {
      slot = this.#ids.length;
      this.#reserve(slot + 1);
      this.#ids.push(entryId);
      this.#slots.set(entryId, slot);
    }
    const unit = toUnit(vector);
    this.#vectors.set(unit, slot * this.dimensions);
    this.#signs.set(this.#signsOf(unit), slot * this.#words);
  }

  delete(entryId: string): void {
    const slot = this.#slots.get(entryId);
    if (slot === undefined) return;
    const last = this.#ids.length - 1;
    if (slot !== last) {
      const moved = this.#ids[last]!;
      this.#ids[slot] = moved;
      this.#slots.set(moved, slot);
      this.#vectors.set(this.#vectorAt(last), slot * this.dimensions);
      this.#signs.copyWithin(slot * this.#words, last * this.#words, (last + 1) * this.#words);
    }
    this.#ids.pop();
    this.#slots.delete(entryId);
  }

  *entries(): Iterable<[entryId: string, vector: Float32Array]> {
    for (const [slot, entryId] of this.#ids.entries()) yield [entryId, this.#vectorAt(slot)];
  }

  /** Best first; equals in the order of their ids. */
  query(vector: ArrayLike<number>, topK: number, prefilterAbove: number): VectorMatch[] {
    const query = toUnit(vector);
    const slots = this.size > prefilterAbove ? this.#nearestBySigns(query, topK) : this.#allSlots();
    const best = new Best(topK);
    for (const slot of slots) best.offer(this.#ids[slot]!, this.#similarity(query, slot));
    return best.matches;
  }

  #vectorAt(slot: number): Float32Array {
    return this.#vectors.subarray(slot * this.dimensions, (slot + 1) * this.dimensions);
  }

  #similarity(query: Float32Array, slot: number): number {
    const vectors = this.#vectors;
    const offset = slot * this.dimensions;
    let sum = 0;
    for (let index = 0; index < query.length; index++) {
      sum += query[index]! * vectors[offset + index]!;
    }
    return Math.min(1, Math.max(-1, sum));
  }

  *#allSlots(): Iterable<number> {
    for (let slot = 0; slot < this.size; slot++) yield slot;
  }

  *#nearestBySigns(query: Float32Array, topK: number): Iterable<number> {
    const wanted = Math.max(
      MIN_CANDIDATES,
      topK * CANDIDATES_PER_MATCH,
      Math.ceil(this.size * CANDIDATE_SHARE),
    );
    const signs = this.#signsOf(query);
    const distances = new Uint16Array(this.size);
    const atDistance = new Uint32Array(this.dimensions + 1);
    const stored = this.#signs;
    const words = this.#words;
    for (let slot = 0; slot < distances.length; slot++) {
      let distance = 0;
      const offset = slot * words;
      for (let word = 0; word < words; word++) {
        distance += bitCount(signs[word]! ^ stored[offset + word]!);
      }
      distances[slot] = distance;
      atDistance[distance]!++;
    }
    let cut = 0;
    for (let passed = atDistance[0]!; passed < wanted && cut < this.dimensions;) {
      cut += 1;
      passed += atDistance[cut]!;
    }
    for (let slot = 0; slot < this.size; slot++) if (distances[slot]! <= cut) yield slot;
  }

  #signsOf(vector: Float32Array): Uint32Array {
    const signs = new Uint32Array(this.#words);
    for (let index = 0; index < vector.length; index++) {
      if (vector[index]! > 0) signs[index >>> 5]! |= 1 << (index & 31);
    }
    return signs;
  }

  #reserve(size: number): void {
    const capacity = this.#vectors.length / this.dimensions;
    if (size <= capacity) return;
    const vectors = new Float32Array(2 * this.#vectors.length);
    const signs = new Uint32Array(2 * this.#signs.length);
    vectors.set(this.#vectors);
    signs.set(this.#signs);
    this.#vectors = vectors;
    this.#signs = signs;
  }
}

/** The best few of many, in order. */
class Best {
  readonly matches: VectorMatch[] = [];
  readonly #limit: number;

  constructor(limit: number) {
    this.#limit = limit;
  }

  offer(entryId: string, similarity: number): void {
    const { matches } = this;
    const worst = matches.at(-1);
    if (matches.length >= this.#limit && (!worst || !isBetter(entryId, similarity, worst))) return;
    let low = 0;
    let high = matches.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (isBetter(entryId, similarity, matches[middle]!)) high = middle;
      else low = middle + 1;
    }
    matches.splice(low, 0, { entryId, similarity });
    if (matches.length > this.#limit) matches.pop();
  }
}

function isBetter(entryId: string, similarity: number, than: VectorMatch): boolean {
  return similarity === than.similarity ? entryId < than.entryId : similarity > than.similarity;
}

function toUnit(vector: ArrayLike<number>): Float32Array {
  let squares = 0;
  for (let index = 0; index < vector.length; index++) squares += vector[index]! ** 2;
  const scale = 1 / Math.sqrt(squares);
  return Float32Array.from(vector, (value) => value * scale);
}

/** Bits set in a 32-bit word (Warren, Hacker's Delight, 5-1). */
function bitCount(word: number): number {
  let bits = word - ((word >>> 1) & 0x55555555);
  bits = (bits & 0x33333333) + ((bits >>> 2) & 0x33333333);
  return Math.imul((bits + (bits >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}
