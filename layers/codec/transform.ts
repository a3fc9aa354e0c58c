import type { BlockLayout } from './blocks.ts';

/**
 * An orthonormal DCT-II of one length, halved by symmetry: a cosine is even or odd about the
 * middle.
 */
interface HalfBasis {
  length: number;
  /** `length / 2`, rounded up: positions without their mirror images. */
  half: number;
  /**
   * `[length, half]`, frequency by position; for even frequencies the middle of an odd length
   * counts half.
   */
  forward: Float64Array;
  /** `[half, length]`, position by frequency. */
  backward: Float64Array;
}

const basesByLength = new Map<number, HalfBasis>();

function basisOf(length: number): HalfBasis {
  const known = basesByLength.get(length);
  if (known !== undefined) return known;
  const half = (length + 1) >> 1;
  const forward = new Float64Array(length * half);
  const backward = new Float64Array(half * length);
  for (let frequency = 0; frequency < length; frequency++) {
    const scale = Math.sqrt((frequency === 0 ? 1 : 2) / length);
    for (let position = 0; position < half; position++) {
      const cosine = scale * Math.cos((Math.PI * (position + 0.5) * frequency) / length);
      const isMiddle = 2 * position + 1 === length;
      // The middle is its own mirror image, so it counts twice.
      forward[frequency * half + position] = isMiddle ? cosine / 2 : cosine;
      backward[position * length + frequency] = cosine;
    }
  }
  const basis = { length, half, forward, backward };
  basesByLength.set(length, basis);
  return basis;
}

/**
 * Transforms one stretch of an axis, with `lines` adjacent numbers at each position and positions
 * `stride` apart. Forward maps values to coefficients, backward coefficients to values.
 *
 * @param spare at least `length * lines` numbers
 */
function transformStretch(
  values: Float32Array,
  spare: Float32Array,
  start: number,
  { length, half, forward, backward }: HalfBasis,
  stride: number,
  lines: number,
  isForward: boolean,
): void {
  if (isForward) {
    // Sums and differences of mirrored positions: even frequencies use only sums, odd ones only
    // differences.
    for (let position = 0; position < half; position++) {
      const near = start + position * stride;
      const far = start + (length - 1 - position) * stride;
      const sums = 2 * position * lines;
      const differences = sums + lines;
      for (let line = 0; line < lines; line++) {
        const one = values[near + line]!;
        const other = values[far + line]!;
        spare[sums + line] = one + other;
        spare[differences + line] = one - other;
      }
    }
    for (let parity = 0; parity < 2; parity++) {
      for (let one = parity; one < length; one += 4) {
        const other = one + 2 < length ? one + 2 : one;
        combinePair(
          spare,
          parity * lines,
          2 * lines,
          forward,
          one * half,
          other * half,
          1,
          half,
          values,
          start + one * stride,
          start + other * stride,
          lines,
        );
      }
    }
    return;
  }
  for (let frequency = 0; frequency < length; frequency++) {
    const from = start + frequency * stride;
    spare.set(values.subarray(from, from + lines), frequency * lines);
  }
  // The sum over even frequencies goes to the nearer of two mirrored positions, that over odd ones
  // to the other.
  for (let one = 0; one < half; one += 2) {
    const other = Math.min(one + 1, half - 1);
    combinePair(
      spare,
      0,
      2 * lines,
      backward,
      one * length,
      other * length,
      2,
      half,
      values,
      start + one * stride,
      start + other * stride,
      lines,
    );
  }
  const mirrored = length >> 1;
  for (let one = 0; one < mirrored; one += 2) {
    const other = Math.min(one + 1, mirrored - 1);
    combinePair(
      spare,
      lines,
      2 * lines,
      backward,
      one * length + 1,
      other * length + 1,
      2,
      mirrored,
      values,
      start + (length - 1 - one) * stride,
      start + (length - 1 - other) * stride,
      lines,
    );
  }
  for (let position = 0; position < mirrored; position++) {
    const near = start + position * stride;
    const far = start + (length - 1 - position) * stride;
    for (let line = 0; line < lines; line++) {
      const even = values[near + line]!;
      const odd = values[far + line]!;
      values[near + line] = even + odd;
      values[far + line] = even - odd;
    }
  }
}

/**
 * Computes `to[line] = sum over terms of factors[term] * from[term][line]`, four terms at a time,
 * for two targets with separate factors; the targets may be the same.
 */
function combinePair(
  from: Float32Array,
  first: number,
  stride: number,
  factors: Float64Array,
  factorsOfOne: number,
  factorsOfOther: number,
  factorStride: number,
  terms: number,
  to: Float32Array,
  one: number,
  other: number,
  lines: number,
): void {
  for (let term = 0; term < terms; term += 4) {
    const inOne = factorsOfOne + term * factorStride;
    const inOther = factorsOfOther + term * factorStride;
    const has1 = term + 1 < terms;
    const has2 = term + 2 < terms;
    const has3 = term + 3 < terms;
    const f0 = factors[inOne]!;
    const f1 = has1 ? factors[inOne + factorStride]! : 0;
    const f2 = has2 ? factors[inOne + 2 * factorStride]! : 0;
    const f3 = has3 ? factors[inOne + 3 * factorStride]! : 0;
    const g0 = factors[inOther]!;
    const g1 = has1 ? factors[inOther + factorStride]! : 0;
    const g2 = has2 ? factors[inOther + 2 * factorStride]! : 0;
    const g3 = has3 ? factors[inOther + 3 * factorStride]! : 0;
    const a0 = first + term * stride;
    const a1 = has1 ? a0 + stride : a0;
    const a2 = has2 ? a0 + 2 * stride : a0;
    const a3 = has3 ? a0 + 3 * stride : a0;
    const isLater = term > 0;
    for (let line = 0; line < lines; line++) {
      const value0 = from[a0 + line]!;
      const value1 = from[a1 + line]!;
      const value2 = from[a2 + line]!;
      const value3 = from[a3 + line]!;
      const sum = f0 * value0 + f1 * value1 + f2 * value2 + f3 * value3;
      const sumOfOther = g0 * value0 + g1 * value1 + g2 * value2 + g3 * value3;
      // Adding -0 changes no sum.
      const before = isLater ? to[one + line]! : -0;
      const beforeOfOther = isLater ? to[other + line]! : -0;
      to[one + line] = before + sum;
      to[other + line] = beforeOfOther + sumOfOther;
    }
  }
}

/** Rows transformed in parallel: their sums are independent. */
const LANES = 4;

/** Transforms a stretch of the last axis in every row, where positions are adjacent. */
function transformRows(
  values: Float32Array,
  start: number,
  basis: HalfBasis,
  rowStride: number,
  rows: number,
  isForward: boolean,
): void {
  const { length, half } = basis;
  const evens = new Float64Array(LANES * half);
  const odds = new Float64Array(LANES * half);
  for (let row = 0; row < rows; row += LANES) {
    const first = start + row * rowStride;
    // The last group may have fewer rows; the last row fills the missing lanes, with the same
    // result.
    const lanes = Math.min(LANES, rows - row);
    if (isForward) {
      for (let lane = 0; lane < LANES; lane++) {
        const at = first + Math.min(lane, lanes - 1) * rowStride;
        for (let position = 0; position < half; position++) {
          const one = values[at + position]!;
          const other = values[at + length - 1 - position]!;
          evens[LANES * position + lane] = one + other;
          odds[LANES * position + lane] = one - other;
        }
      }
      forwardLanes(values, first, basis, rowStride, lanes, evens, odds);
    } else {
      for (let lane = 0; lane < LANES; lane++) {
        const at = first + Math.min(lane, lanes - 1) * rowStride;
        for (let even = 0; even < length; even += 2) {
          evens[(LANES * even) / 2 + lane] = values[at + even]!;
        }
        for (let odd = 1; odd < length; odd += 2) {
          odds[(LANES * (odd - 1)) / 2 + lane] = values[at + odd]!;
        }
      }
      backwardLanes(values, first, basis, rowStride, lanes, evens, odds);
    }
  }
}

/**
 * Transforms lanes forward. @param evens sums of mirrored positions, `[half, LANES]`, the input of
 * even frequencies; `odds` are the differences, for odd ones
 */
function forwardLanes(
  values: Float32Array,
  first: number,
  { length, half, forward }: HalfBasis,
  rowStride: number,
  lanes: number,
  evens: Float64Array,
  odds: Float64Array,
): void {
  for (let frequency = 0; frequency < length; frequency++) {
    const folded = (frequency & 1) === 0 ? evens : odds;
    const factors = frequency * half;
    let sum0 = 0;
    let sum1 = 0;
    let sum2 = 0;
    let sum3 = 0;
    for (let position = 0; position < half; position++) {
      const factor = forward[factors + position]!;
      const at = LANES * position;
      sum0 += factor * folded[at]!;
      sum1 += factor * folded[at + 1]!;
      sum2 += factor * folded[at + 2]!;
      sum3 += factor * folded[at + 3]!;
    }
    const at = first + frequency;
    values[at] = sum0;
    if (lanes > 1) values[at + rowStride] = sum1;
    if (lanes > 2) values[at + 2 * rowStride] = sum2;
    if (lanes > 3) values[at + 3 * rowStride] = sum3;
  }
}

/**
 * Transforms lanes backward. @param evens coefficients of even frequencies, `[half, LANES]`; `odds`
 * those of odd ones
 */
function backwardLanes(
  values: Float32Array,
  first: number,
  { length, half, backward }: HalfBasis,
  rowStride: number,
  lanes: number,
  evens: Float64Array,
  odds: Float64Array,
): void {
  const pairs = length >> 1;
  for (let position = 0; position < half; position++) {
    const factors = position * length;
    let even0 = 0;
    let even1 = 0;
    let even2 = 0;
    let even3 = 0;
    let odd0 = 0;
    let odd1 = 0;
    let odd2 = 0;
    let odd3 = 0;
    for (let pair = 0; pair < pairs; pair++) {
      const ofEven = backward[factors + 2 * pair]!;
      const ofOdd = backward[factors + 2 * pair + 1]!;
      const at = LANES * pair;
      even0 += ofEven * evens[at]!;
      even1 += ofEven * evens[at + 1]!;
      even2 += ofEven * evens[at + 2]!;
      even3 += ofEven * evens[at + 3]!;
      odd0 += ofOdd * odds[at]!;
      odd1 += ofOdd * odds[at + 1]!;
      odd2 += ofOdd * odds[at + 2]!;
      odd3 += ofOdd * odds[at + 3]!;
    }
    if (pairs < half) {
      const ofEven = backward[factors + length - 1]!;
      const at = LANES * pairs;
      even0 += ofEven * evens[at]!;
      even1 += ofEven * evens[at + 1]!;
      even2 += ofEven * evens[at + 2]!;
      even3 += ofEven * evens[at + 3]!;
    }
    const near = first + position;
    const far = first + length - 1 - position;
    // Both are the same in the middle.
    values[far] = even0 - odd0;
    values[near] = even0 + odd0;
    if (lanes < 2) continue;
    values[far + rowStride] = even1 - odd1;
    values[near + rowStride] = even1 + odd1;
    if (lanes < 3) continue;
    values[far + 2 * rowStride] = even2 - odd2;
    values[near + 2 * rowStride] = even2 + odd2;
    if (lanes < 4) continue;
    values[far + 3 * rowStride] = even3 - odd3;
    values[near + 3 * rowStride] = even3 + odd3;
  }
}

/** Positions of a frame that are transformed along time at once. */
const MAX_RUN = 128;

/** Transforms all three axes of one channel, in place. */
function transformChannel(
  values: Float32Array,
  spare: Float32Array,
  { extents, times, rows, columns }: BlockLayout,
  isForward: boolean,
): void {
  const { frames, height, width } = extents;
  for (const { start, length } of columns) {
    transformRows(values, start, basisOf(length), width, frames * height, isForward);
  }
  for (let frame = 0; frame < frames; frame++) {
    for (const { start, length } of rows) {
      const first = (frame * height + start) * width;
      transformStretch(values, spare, first, basisOf(length), width, width, isForward);
    }
  }
  const plane = height * width;
  for (const { start, length } of times) {
    // One run of positions at a time, to stay in the processor's cache.
    for (let position = 0; position < plane; position += MAX_RUN) {
      const lines = Math.min(MAX_RUN, plane - position);
      const first = start * plane + position;
      transformStretch(values, spare, first, basisOf(length), plane, lines, isForward);
    }
  }
}

/** Allocates the scratch memory of `transformChannel`. */
function spareFor({ extents, longestTime, longestRow }: BlockLayout): Float32Array {
  const { height, width } = extents;
  const run = Math.min(MAX_RUN, height * width);
  return new Float32Array(Math.max((longestTime + 1) * run, (longestRow + 1) * width));
}

/**
 * Computes the coefficients of a latent: an orthonormal cosine transform of every block along time,
 * height and width. White noise stays white noise of the same variance.
 *
 * @param latent `[C, T, H, W]`
 * @returns coefficients in layout order
 */
export function toCoefficients(latent: Float32Array, layout: BlockLayout): Float32Array {
  const coefficients = new Float32Array(layout.count);
  const { channels } = layout.extents;
  const positions = latent.length / channels;
  const values = latent.slice();
  const spare = spareFor(layout);
  for (let channel = 0; channel < channels; channel++) {
    const first = channel * positions;
    transformChannel(values.subarray(first, first + positions), spare, layout, true);
  }
  const places = placesOf(layout);
  for (let position = 0; position < positions; position++) {
    const place = places[position]!;
    for (let channel = 0; channel < channels; channel++) {
      coefficients[place + channel] = values[channel * positions + position]!;
    }
  }
  return coefficients;
}

/** Computes the latent `[C, T, H, W]` from its coefficients (inverse of `toCoefficients`). */
export function fromCoefficients(coefficients: Float32Array, layout: BlockLayout): Float32Array {
  const { channels, frames, height, width } = layout.extents;
  const positions = frames * height * width;
  const latent = new Float32Array(channels * positions);
  const places = placesOf(layout);
  for (let position = 0; position < positions; position++) {
    const place = places[position]!;
    for (let channel = 0; channel < channels; channel++) {
      latent[channel * positions + position] = coefficients[place + channel]!;
    }
  }
  const spare = spareFor(layout);
  for (let channel = 0; channel < channels; channel++) {
    const first = channel * positions;
    transformChannel(latent.subarray(first, first + positions), spare, layout, false);
  }
  return latent;
}

/** Maps each position of a transformed channel to the index of its first coefficient. */
function placesOf(layout: BlockLayout): Int32Array {
  const { extents, times, rows, columns, blocks, rank, longestRow, longestColumn } = layout;
  const { channels, height, width } = extents;
  const places = new Int32Array(extents.frames * height * width);
  let block = 0;
  for (const time of times) {
    for (const row of rows) {
      for (const column of columns) {
        for (let t = 0; t < time.length; t++) {
          for (let y = 0; y < row.length; y++) {
            const first = ((time.start + t) * height + row.start + y) * width + column.start;
            const natural = (t * longestRow + y) * longestColumn;
            for (let x = 0; x < column.length; x++) {
              places[first + x] = (rank[natural + x]! * blocks + block) * channels;
            }
          }
        }
        block++;
      }
    }
  }
  return places;
}
