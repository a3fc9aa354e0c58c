/**
 * Latents with more channels are coded channel by channel: finding their basis would take too long.
 */
const MAX_CHANNELS = 64;
const SWEEPS = 8;

/** Channel covariance of a latent, from the coefficients coded so far. */
export class ChannelBasis {
  readonly channels: number;
  /** Sums of products of channels, `[C, C]`, upper triangle only. */
  readonly #products: Float64Array;

  constructor(channels: number) {
    this.channels = channels;
    this.#products = new Float64Array(channels * channels);
  }

  /** Whether a basis is used at all. */
  get isUsed(): boolean {
    return this.channels > 1 && this.channels <= MAX_CHANNELS;
  }

  /** Adds an observation. @param values one coefficient of every channel */
  add(values: Float32Array): void {
    const { channels } = this;
    const products = this.#products;
    for (let row = 0; row < channels; row++) {
      const value = values[row]!;
      if (value === 0) continue;
      for (let column = row; column < channels; column++) {
        products[row * channels + column]! += value * values[column]!;
      }
    }
  }

  /**
   * Computes the orthonormal basis that decorrelates the channels seen so far, by decreasing
   * energy: `basis[component * C + channel]`. It uses Jacobi rotations in a fixed order with only
   * `+ - * /` and `sqrt`, so encoder and decoder compute the same bits on any machine.
   */
  find(): BasisPair {
    const { channels } = this;
    const matrix = this.#products.slice();
    for (let row = 1; row < channels; row++) {
      for (let column = 0; column < row; column++) {
        matrix[row * channels + column] = matrix[column * channels + row]!;
      }
    }
    const vectors = new Float64Array(channels * channels);
    for (let channel = 0; channel < channels; channel++) vectors[channel * channels + channel] = 1;
    for (let sweep = 0; sweep < SWEEPS; sweep++) {
      for (let p = 0; p < channels - 1; p++) {
        for (let q = p + 1; q < channels; q++) rotate(matrix, vectors, channels, p, q);
      }
    }
    const order = Array.from({ length: channels }, (_, component) => component).toSorted(
      (left, right) =>
        matrix[right * channels + right]! - matrix[left * channels + left]! || left - right,
    );
    const basis = new Float64Array(channels * channels);
    for (const [place, component] of order.entries()) {
      const from = component * channels;
      basis.set(vectors.subarray(from, from + channels), place * channels);
    }
    return new BasisPair(basis, channels);
  }
}

/**
 * Applies one Jacobi rotation that zeroes the matrix at (p, q); rows of `vectors` are the
 * components.
 */
function rotate(
  matrix: Float64Array,
  vectors: Float64Array,
  size: number,
  p: number,
  q: number,
): void {
  const between = matrix[p * size + q]!;
  const pp = matrix[p * size + p]!;
  const qq = matrix[q * size + q]!;
  if (between * between <= 1e-20 * pp * qq) return;
  const theta = (qq - pp) / (2 * between);
  const sign = theta >= 0 ? 1 : -1;
  const tangent = sign / (sign * theta + Math.sqrt(theta * theta + 1));
  const cosine = 1 / Math.sqrt(tangent * tangent + 1);
  const sine = tangent * cosine;
  for (let kp = p, kq = q; kp < matrix.length; kp += size, kq += size) {
    const inP = matrix[kp]!;
    const inQ = matrix[kq]!;
    matrix[kp] = cosine * inP - sine * inQ;
    matrix[kq] = sine * inP + cosine * inQ;
  }
  const end = (p + 1) * size;
  for (let pk = p * size, qk = q * size; pk < end; pk++, qk++) {
    const inP = matrix[pk]!;
    const inQ = matrix[qk]!;
    matrix[pk] = cosine * inP - sine * inQ;
    matrix[qk] = sine * inP + cosine * inQ;
    const ofP = vectors[pk]!;
    const ofQ = vectors[qk]!;
    vectors[pk] = cosine * ofP - sine * ofQ;
    vectors[qk] = sine * ofP + cosine * ofQ;
  }
}

/** A basis of the channels and its inverse, which for an orthonormal basis is the transpose. */
export class BasisPair {
  readonly #basis: Float64Array;
  readonly #transposed: Float64Array;
  readonly #sums: Float64Array;
  readonly #channels: number;

  /** @param basis `basis[component * C + channel]`, orthonormal */
  constructor(basis: Float64Array, channels: number) {
    this.#basis = basis;
    this.#channels = channels;
    this.#sums = new Float64Array(channels);
    this.#transposed = basis.map(
      (_, index) => basis[(index % channels) * channels + Math.floor(index / channels)]!,
    );
  }

  /** Transforms the channels of one coefficient, which begin at `first`, to components. */
  enter(values: Float32Array, first: number): void {
    this.#multiply(this.#transposed, values, first);
  }

  /** Transforms the components of one coefficient, which begin at `first`, to channels. */
  leave(values: Float32Array, first: number): void {
    this.#multiply(this.#basis, values, first);
  }

  #multiply(rows: Float64Array, values: Float32Array, first: number): void {
    const channels = this.#channels;
    const sums = this.#sums;
    sums.fill(0);
    let from = 0;
    for (; from + 4 <= channels; from += 4) {
      const at = first + from;
      const value0 = values[at]!;
      const value1 = values[at + 1]!;
      const value2 = values[at + 2]!;
      const value3 = values[at + 3]!;
      if (value0 === 0 && value1 === 0 && value2 === 0 && value3 === 0) continue;
      const row0 = from * channels;
      const row1 = row0 + channels;
      const row2 = row1 + channels;
      const row3 = row2 + channels;
      for (let to = 0; to < channels; to++) {
        sums[to]! +=
          rows[row0 + to]! * value0 +
          rows[row1 + to]! * value1 +
          rows[row2 + to]! * value2 +
          rows[row3 + to]! * value3;
      }
    }
    for (; from < channels; from++) {
      const value = values[first + from]!;
      for (let to = 0; to < channels; to++) sums[to]! += rows[from * channels + to]! * value;
    }
    for (let to = 0; to < channels; to++) values[first + to] = sums[to]!;
  }
}
