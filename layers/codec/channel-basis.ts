/** Latents with more channels are coded channel by channel: finding their basis would take too long. */
const MOST_CHANNELS = 64;
const SWEEPS = 8;

/** What is known of how the channels of a latent go together, from the coefficients coded so far. */
export class ChannelBasis {
  readonly channels: number;
  /** Sums of products of channels, `[C, C]`. */
  readonly #products: Float64Array;

  constructor(channels: number) {
    this.channels = channels;
    this.#products = new Float64Array(channels * channels);
  }

  /** Whether bases are made at all. */
  get isUsed(): boolean {
    return this.channels > 1 && this.channels <= MOST_CHANNELS;
  }

  /** @param values one coefficient of every channel */
  add(values: Float32Array): void {
    const { channels } = this;
    const products = this.#products;
    for (let row = 0; row < channels; row++) {
      const value = values[row]!;
      if (value === 0) continue;
      for (let column = 0; column < channels; column++) {
        products[row * channels + column]! += value * values[column]!;
      }
    }
  }

  /**
   * The orthonormal basis in which the channels seen so far do not correlate, the one with the most
   * energy first: `basis[component * C + channel]`. By Jacobi rotations in a fixed order, with `+ - * /` and
   * `sqrt` alone: encoder and decoder find the same bits on any machine.
   */
  find(): Float64Array {
    const { channels } = this;
    const matrix = this.#products.slice();
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
    return basis;
  }
}

/** One Jacobi rotation that makes the matrix 0 at (p, q); `vectors` has the components in its rows. */
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
  for (let k = 0; k < size; k++) {
    const kp = matrix[k * size + p]!;
    const kq = matrix[k * size + q]!;
    matrix[k * size + p] = cosine * kp - sine * kq;
    matrix[k * size + q] = sine * kp + cosine * kq;
  }
  for (let k = 0; k < size; k++) {
    const pk = matrix[p * size + k]!;
    const qk = matrix[q * size + k]!;
    matrix[p * size + k] = cosine * pk - sine * qk;
    matrix[q * size + k] = sine * pk + cosine * qk;
    const vp = vectors[p * size + k]!;
    const vq = vectors[q * size + k]!;
    vectors[p * size + k] = cosine * vp - sine * vq;
    vectors[q * size + k] = sine * vp + cosine * vq;
  }
}

/** Components of a coefficient's channels, which begin at `first`; the channels themselves without a basis. */
export function toBasis(
  basis: Float64Array | null,
  values: Float32Array,
  first: number,
  components: Float32Array,
): void {
  const channels = components.length;
  if (basis === null) {
    for (let channel = 0; channel < channels; channel++) {
      components[channel] = values[first + channel]!;
    }
    return;
  }
  for (let component = 0; component < channels; component++) {
    const row = component * channels;
    let sum = 0;
    for (let channel = 0; channel < channels; channel++) {
      sum += basis[row + channel]! * values[first + channel]!;
    }
    components[component] = sum;
  }
}

/** The channels of a coefficient whose components begin at `first`; to the same array, in place. */
export function fromBasis(
  basis: Float64Array | null,
  components: Float32Array,
  first: number,
  values: Float32Array,
  firstValue: number,
  sums: Float64Array,
): void {
  const channels = sums.length;
  if (basis === null) {
    for (let channel = 0; channel < channels; channel++) {
      values[firstValue + channel] = components[first + channel]!;
    }
    return;
  }
  sums.fill(0);
  for (let component = 0; component < channels; component++) {
    const size = components[first + component]!;
    if (size === 0) continue;
    const row = component * channels;
    for (let channel = 0; channel < channels; channel++) {
      sums[channel]! += basis[row + channel]! * size;
    }
  }
  for (let channel = 0; channel < channels; channel++) {
    values[firstValue + channel] = sums[channel]!;
  }
}
