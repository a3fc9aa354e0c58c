import { InvalidInputError } from '#core/errors.ts';
import { lengthOf, VectorRows } from './vector-rows.ts';

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
 * The distinct unit vectors of one part of one partition that some simulated cache holds, and which of
 * them are near enough to each other to be donors. Requests repeat prompts and above all parts, so the
 * search runs once for each distinct vector while it is held, and all caches share it.
 */
export class VectorSpace {
  /** Cosine of a neighbour, at least. */
  readonly least: number;
  readonly #ids = new Map<string, number>();
  readonly #keys: (string | null)[] = [];
  readonly #neighbours: Neighbours[] = [];
  /** How many hold a vector: caches, and a request that is being served. */
  readonly #holders: number[] = [];
  readonly #free: number[] = [];
  #dimensions = 0;
  #rows: VectorRows | null = null;

  constructor(least: number) {
    this.least = least;
  }

  /** How many vectors are held. */
  get size(): number {
    return this.#ids.size;
  }

  /**
   * The number of a vector, which holds it; a new one is compared with all that are held. Numbers of
   * vectors that nobody holds any more are given again.
   *
   * @throws InvalidInputError when it is no unit vector of the others' length.
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

  /** All that are near enough to it, itself included. */
  neighboursOf(id: number): Neighbours {
    return this.#neighbours[id]!;
  }

  /** Cosine of two vectors that are held; below `least` where they are no neighbours. */
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
      `a vector of ${vector.length} elements and length ${length} stands among unit vectors of ${this.#dimensions}`,
      'embed the whole trace with one embedder that gives unit vectors',
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
