import { newKernel, PAGE_BYTES, type KernelMemory, type Scan } from './scan-kernel.ts';

/**
 * Tolerance for the rounding of float32 cosines, so that no value exactly at a threshold is missed.
 */
const ROUNDING = 1e-4;

const FLOAT_BYTES = 4;

/** Eight elements at a time. */
const BLOCK = 8;

/**
 * Finds the unit vectors near a given one. It compares a prefix of the elements first, and the rest
 * only if it could still reach the bound (Cauchy-Schwarz).
 */
export class VectorRows {
  readonly #least: number;
  /** Number of elements compared first; shorter vectors are padded with zeros. */
  readonly #head: number;
  readonly #rest: number;
  readonly #memory: KernelMemory;
  readonly #scan: Scan;
  #capacity = 0;
  #count = 0;
  /** In the kernel's memory: the query's prefix, all prefixes, norms of the rests, results. */
  #query = new Float32Array(0);
  #heads = new Float32Array(0);
  #tails = new Float32Array(0);
  #found = new Int32Array(0);
  #rests = new Float32Array(0);

  constructor(dimensions: number, least: number) {
    this.#least = least;
    this.#head = headLength(dimensions, least);
    this.#rest = Math.max(0, dimensions - this.#head);
    const { memory, scan } = newKernel();
    this.#memory = memory;
    this.#scan = scan;
  }

  put(id: number, vector: Float32Array): void {
    if (id >= this.#capacity) this.#grow(Math.max(64, 2 * id));
    this.#count = Math.max(this.#count, id + 1);
    this.#heads.fill(0, id * this.#head, (id + 1) * this.#head);
    this.#heads.set(vector.subarray(0, this.#head), id * this.#head);
    this.#rests.set(vector.subarray(this.#head), id * this.#rest);
    this.#tails[id] = lengthOf(vector.subarray(this.#head));
  }

  remove(id: number): void {
    this.#tails[id] = -Infinity;
  }

  /** Calls back for each vector whose cosine reaches the bound. */
  near(vector: Float32Array, found: (id: number, similarity: number) => void): void {
    if (this.#count === 0) return;
    const [head, rest] = [this.#head, this.#rest];
    const [first, second] = [vector.subarray(0, head), vector.subarray(head)];
    this.#query.set(first);
    const count = this.#scan(
      this.#query.byteOffset,
      this.#heads.byteOffset,
      this.#tails.byteOffset,
      this.#count,
      head * FLOAT_BYTES,
      // Never 0, because 0 times -Infinity is NaN.
      lengthOf(second) + ROUNDING / 2,
      this.#least - ROUNDING,
      this.#found.byteOffset,
    );
    for (let index = 0; index < count; index++) {
      const id = this.#found[index]!;
      const near = dot(first, this.#heads, id * head) + dot(second, this.#rests, id * rest);
      if (near >= this.#least) found(id, Math.min(1, near));
    }
  }

  #grow(capacity: number): void {
    const [heads, tails] = [this.#heads.slice(), this.#tails.slice()];
    const bytes = (this.#head * (capacity + 1) + 2 * capacity) * FLOAT_BYTES;
    const pages = Math.ceil((bytes - this.#memory.buffer.byteLength) / PAGE_BYTES);
    if (pages > 0) this.#memory.grow(pages);
    const { buffer } = this.#memory;
    this.#query = new Float32Array(buffer, 0, this.#head);
    this.#heads = new Float32Array(buffer, this.#head * FLOAT_BYTES, this.#head * capacity);
    const afterHeads = this.#head * (capacity + 1) * FLOAT_BYTES;
    this.#tails = new Float32Array(buffer, afterHeads, capacity);
    this.#found = new Int32Array(buffer, afterHeads + capacity * FLOAT_BYTES, capacity);
    this.#heads.set(heads);
    this.#tails.set(tails);
    const rests = new Float32Array(this.#rest * capacity);
    rests.set(this.#rests);
    this.#rests = rests;
    this.#capacity = capacity;
  }
}

/**
 * Computes the prefix length that rules out unrelated vectors: their prefixes would have to be as
 * similar as in one of a hundred pairs (2.3 times the standard deviation of a prefix product,
 * root(head) / dimensions).
 */
function headLength(dimensions: number, least: number): number {
  for (let head = BLOCK; head < dimensions; head += BLOCK) {
    const missing = least - (1 - head / dimensions);
    if (missing > (2.3 * Math.sqrt(head)) / dimensions) return head;
  }
  return Math.ceil(dimensions / BLOCK) * BLOCK;
}

function dot(vector: Float32Array, rows: Float32Array, start: number): number {
  let sum = 0;
  for (let index = 0; index < vector.length; index++) sum += vector[index]! * rows[start + index]!;
  return sum;
}

/** Computes the norm of a vector. */
export function lengthOf(vector: Float32Array): number {
  let square = 0;
  for (const element of vector) square += element * element;
  return Math.sqrt(square);
}
