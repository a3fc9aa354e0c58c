import { InvalidInputError } from '#core/errors.ts';
import { lengthOf, VectorRows } from './vector-rows.ts';

/** Tolerance for the length of a unit vector. */
const LENGTH_TOLERANCE = 1e-2;

/** Vectors near a given one, unordered. */
export interface Neighbours {
  count: number;
  ids: Int32Array;
  /** Cosines, in the same order. */
  similarities: Float32Array;
}

/**
 * The distinct unit vectors of one part of one partition that any simulated cache holds, with their
 * neighbors. Requests repeat prompts and especially parts, so the search runs once per distinct
 * vector while it is held, and all caches share it.
 */
export class VectorSpace {
  /** Minimum cosine of a neighbor. */
  readonly least: number;
  readonly #ids = new Map<string, number>();
  readonly #keys: (string | null)[] = [];
  readonly #neighbours: Neighbours[] = [];
  /** Reference counts of vectors: caches, and requests in progress. */
  readonly #holders: number[] = [];
  readonly #free: number[] = [];
  #dimensions = 0;
  #rows: VectorRows | null = null;

  constructor(least: number) {
    this.least = least;
  }

  /** Number of held vectors. */
  get size(): number {
    return this.#ids.size;
  }

  /**
   * Returns the index of a vector and holds it; a new one is compared with all held vectors.
   * Indices of released vectors are reused.
   *
   * @throws InvalidInputError if it is not a unit vector of the same length as the others
   */
  hold(vector: Float32Array): number {
    const key = Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString('latin1');
    const known = this.#ids.get(key);
    if (known !== undefined) {
      this.holdAgain(known);
      return known;
    }
    this.#refuse(vector);
    const id = this.#free.pop() ?? this.#neighbours.length;
    this.#ids.set(key, id);
    this.#keys[id] = key;
    this.#holders[id] = 1;
    this.#neighbours[id] = { count: 0, ids: new Int32Array(4), similarities: new Float32Array(4) };
    this.#rows!.near(vector, (other, similarity) => {
      link(this.#neighbours[id]!, other, similarity);
      link(this.#neighbours[other]!, id, similarity);
    });
    this.#rows!.put(id, vector);
    link(this.#neighbours[id]!, id, 1);
    return id;
  }

  holdAgain(id: number): void {
    this.#holders[id]!++;
  }

  release(id: number): void {
    if (--this.#holders[id]! > 0) return;
    const { count, ids } = this.#neighbours[id]!;
    for (let index = 0; index < count; index++) unlink(this.#neighbours[ids[index]!]!, id);
    this.#ids.delete(this.#keys[id]!);
    this.#keys[id] = null;
    this.#rows!.remove(id);
    this.#free.push(id);
  }

  /** Returns all neighbors of a vector, including itself. */
  neighboursOf(id: number): Neighbours {
    return this.#neighbours[id]!;
  }

  /** Returns the cosine of two held vectors; below `least` if they are not neighbors. */
  similarityOf(id: number, other: number): number {
    const { count, ids, similarities } = this.#neighbours[id]!;
    const place = ids.indexOf(other);
    return place >= 0 && place < count ? similarities[place]! : -1;
  }

  #refuse(vector: Float32Array): void {
    if (this.#dimensions === 0) {
      this.#dimensions = vector.length;
      this.#rows = new VectorRows(vector.length, this.least);
    }
    const length = lengthOf(vector);
    const isUnit = Math.abs(length - 1) <= LENGTH_TOLERANCE;
    if (vector.length === this.#dimensions && vector.length > 0 && isUnit) return;
    throw new InvalidInputError(
      'vectors',
      `a vector has ${vector.length} dimensions and length ${length}, expected a unit vector of ${this.#dimensions} dimensions`,
      'embed the whole trace with one embedder of unit vectors',
    );
  }
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

function unlink(neighbours: Neighbours, id: number): void {
  const { ids, similarities } = neighbours;
  const place = ids.indexOf(id);
  const last = --neighbours.count;
  ids[place] = ids[last]!;
  similarities[place] = similarities[last]!;
}

function grown(array: Float32Array, length: number): Float32Array<ArrayBuffer> {
  const larger = new Float32Array(length);
  larger.set(array);
  return larger;
}
