import { InvalidInputError } from '../errors.ts';

/** Elements of a vector that are compared before the rest is bounded. */
const HEAD = 32;

/** How far from 1 the length of a unit vector may be. */
const LENGTH_TOLERANCE = 1e-2;

/** Other vectors near one, in no order. */
export interface Neighbours {
  count: number;
  ids: Int32Array;
  /** Cosines, in the same order. */
  similarities: Float32Array;
}

/**
 * The distinct unit vectors of one part of one partition, and which of them are near enough to each
 * other to be donors. Requests repeat prompts and above all parts, so the search runs once for each
 * distinct vector, and all simulated caches share it. A vector is compared by its first elements, and
 * further only if what is left could still make it near enough (Cauchy-Schwarz): nothing is missed.
 */
export class VectorSpace {
  readonly #least: number;
  readonly #ids = new Map<string, number>();
  #dimensions = 0;
  #rows = new Float32Array(0);
  /** Length of each vector without its first elements. */
  #tails = new Float32Array(0);
  readonly #neighbours: Neighbours[] = [];

  /** @param least cosine of a neighbour */
  constructor(least: number) {
    this.#least = least;
  }

  get size(): number {
    return this.#neighbours.length;
  }

  /**
   * The number of a vector, from 0; a new one is compared with all others.
   *
   * @throws InvalidInputError when it is no unit vector of the others' length.
   */
  idOf(vector: Float32Array): number {
    const key = Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString('latin1');
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    this.#refuse(vector);
    const id = this.size;
    this.#ids.set(key, id);
    this.#append(vector, id);
    this.#compare(vector, id);
    return id;
  }

  /** All that are near enough to it, itself included. */
  neighboursOf(id: number): Neighbours {
    return this.#neighbours[id]!;
  }

  #refuse(vector: Float32Array): void {
    if (this.#dimensions === 0) this.#dimensions = vector.length;
    let square = 0;
    for (const element of vector) square += element * element;
    const isUnit = Math.abs(Math.sqrt(square) - 1) <= LENGTH_TOLERANCE;
    if (vector.length === this.#dimensions && vector.length > 0 && isUnit) return;
    throw new InvalidInputError(
      'vectors',
      `a vector of ${vector.length} elements and length ${Math.sqrt(square)} stands among unit vectors of ${this.#dimensions}`,
      'embed the whole trace with one embedder that gives unit vectors',
    );
  }

  #append(vector: Float32Array, id: number): void {
    const dimensions = this.#dimensions;
    if ((id + 1) * dimensions > this.#rows.length) {
      const rows = Math.max(64, 2 * id);
      this.#rows = grown(this.#rows, rows * dimensions);
      this.#tails = grown(this.#tails, rows);
    }
    this.#rows.set(vector, id * dimensions);
    this.#tails[id] = tailOf(vector);
    this.#neighbours.push({ count: 0, ids: new Int32Array(4), similarities: new Float32Array(4) });
  }

  #compare(vector: Float32Array, id: number): void {
    const dimensions = this.#dimensions;
    const head = Math.min(HEAD, dimensions);
    const rows = this.#rows;
    const tails = this.#tails;
    const tail = tails[id]!;
    const least = this.#least;
    for (let other = 0, start = 0; other < id; other++, start += dimensions) {
      const first = dot(vector, rows, start, 0, head);
      // Rounding of float32 must not lose what stands exactly at the threshold.
      if (first + tail * tails[other]! < least - 1e-4) continue;
      const similarity = Math.min(1, first + dot(vector, rows, start, head, dimensions));
      if (similarity < least) continue;
      link(this.#neighbours[id]!, other, similarity);
      link(this.#neighbours[other]!, id, similarity);
    }
    link(this.#neighbours[id]!, id, 1);
  }
}

/** Four sums, so that no addition waits for the one before. */
function dot(
  vector: Float32Array,
  rows: Float32Array,
  start: number,
  from: number,
  to: number,
): number {
  let a = 0;
  let b = 0;
  let c = 0;
  let d = 0;
  let index = from;
  for (; index + 3 < to; index += 4) {
    a += vector[index]! * rows[start + index]!;
    b += vector[index + 1]! * rows[start + index + 1]!;
    c += vector[index + 2]! * rows[start + index + 2]!;
    d += vector[index + 3]! * rows[start + index + 3]!;
  }
  for (; index < to; index++) a += vector[index]! * rows[start + index]!;
  return a + b + c + d;
}

function tailOf(vector: Float32Array): number {
  let square = 0;
  for (let index = HEAD; index < vector.length; index++) square += vector[index]! ** 2;
  return Math.sqrt(square);
}

function link(neighbours: Neighbours, id: number, similarity: number): void {
  const { count } = neighbours;
  if (count === neighbours.ids.length) {
    neighbours.similarities = grown(neighbours.similarities, 2 * count);
    const ids = new Int32Array(2 * count);
    ids.set(neighbours.ids);
    neighbours.ids = ids;
  }
  neighbours.ids[count] = id;
  neighbours.similarities[count] = similarity;
  neighbours.count++;
}

function grown(array: Float32Array, length: number): Float32Array<ArrayBuffer> {
  const larger = new Float32Array(length);
  larger.set(array);
  return larger;
}
