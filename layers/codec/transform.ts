import type { BlockLayout } from './blocks.ts';

/** An orthonormal DCT-II of one length, halved by its symmetry: a cosine is even or odd about the middle. */
interface HalfBasis {
  length: number;
  /** `length / 2`, rounded up: positions of which the others are mirrored. */
  half: number;
  /** `[length, half]`, frequency by position; of even frequencies the middle position of an odd length counts half. */
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
      // The middle is folded onto itself, so it is there twice.
      forward[frequency * half + position] = isMiddle ? cosine / 2 : cosine;
      backward[position * length + frequency] = cosine;
    }
  }
  const basis = { length, half, forward, backward };
  basesByLength.set(length, basis);
  return basis;
}

/**
 * Transforms one stretch of an axis: `lines` numbers lie beside each other at each of its positions, which
 * are `stride` apart. Forward takes values to coefficients, backward coefficients to values.
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
    // Sums and differences of mirrored positions: even frequencies see the former alone, odd ones the latter.
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
    for (let frequency = 0; frequency < length; frequency++) {
      const first = (frequency & 1) * lines;
      const row = frequency * half;
      combine(
        spare,
        first,
        2 * lines,
        forward,
        row,
        1,
        half,
        values,
        start + frequency * stride,
        lines,
      );
    }
    return;
  }
  for (let frequency = 0; frequency < length; frequency++) {
    const from = start + frequency * stride;
    spare.set(values.subarray(from, from + lines), frequency * lines);
  }
  const evens = (length + 1) >> 1;
  const odds = length >> 1;
  for (let position = 0; position < half; position++) {
    const near = start + position * stride;
    const far = start + (length - 1 - position) * stride;
    const row = position * length;
    if (near === far) {
      combine(spare, 0, 2 * lines, backward, row, 2, evens, values, near, lines);
      continue;
    }
    combine(spare, 0, 2 * lines, backward, row, 2, evens, values, near, lines);
    if (odds === 0) continue;
    combine(spare, lines, 2 * lines, backward, row + 1, 2, odds, values, far, lines);
    for (let line = 0; line < lines; line++) {
      const even = values[near + line]!;
      const odd = values[far + line]!;
      values[near + line] = even + odd;
      values[far + line] = even - odd;
    }
  }
}

/** `to[line] = sum over terms of factors[term] * from[term][line]`, four terms at a time. */
function combine(
  from: Float32Array,
  first: number,
  stride: number,
  factors: Float64Array,
  firstFactor: number,
  factorStride: number,
  terms: number,
  to: Float32Array,
  target: number,
  lines: number,
): void {
  for (let term = 0; term < terms; term += 4) {
    const factor = firstFactor + term * factorStride;
    const has1 = term + 1 < terms;
    const has2 = term + 2 < terms;
    const has3 = term + 3 < terms;
    const f0 = factors[factor]!;
    const f1 = has1 ? factors[factor + factorStride]! : 0;
    const f2 = has2 ? factors[factor + 2 * factorStride]! : 0;
    const f3 = has3 ? factors[factor + 3 * factorStride]! : 0;
    const a0 = first + term * stride;
    const a1 = has1 ? a0 + stride : a0;
    const a2 = has2 ? a0 + 2 * stride : a0;
    const a3 = has3 ? a0 + 3 * stride : a0;
    if (term === 0) {
      for (let line = 0; line < lines; line++) {
        to[target + line] =
          f0 * from[a0 + line]! +
          f1 * from[a1 + line]! +
          f2 * from[a2 + line]! +
          f3 * from[a3 + line]!;
      }
    } else {
      for (let line = 0; line < lines; line++) {
        to[target + line]! +=
          f0 * from[a0 + line]! +
          f1 * from[a1 + line]! +
          f2 * from[a2 + line]! +
          f3 * from[a3 + line]!;
      }
    }
  }
}

/** Transforms a stretch of the last axis in every row: positions lie beside each other. */
function transformRows(
  values: Float32Array,
  start: number,
  { length, half, forward, backward }: HalfBasis,
  rowStride: number,
  rows: number,
  isForward: boolean,
): void {
  const sums = new Float64Array(half);
  const differences = new Float64Array(half);
  for (let row = 0; row < rows; row++) {
    const at = start + row * rowStride;
    const last = at + length - 1;
    if (isForward) {
      for (let position = 0; position < half; position++) {
        const one = values[at + position]!;
        const other = values[last - position]!;
        sums[position] = one + other;
        differences[position] = one - other;
      }
      for (let frequency = 0; frequency < length; frequency++) {
        const folded = (frequency & 1) === 0 ? sums : differences;
        const first = frequency * half;
        let sum = 0;
        for (let position = 0; position < half; position++) {
          sum += forward[first + position]! * folded[position]!;
        }
        values[at + frequency] = sum;
      }
      continue;
    }
    for (let position = 0; position < half; position++) {
      const first = position * length;
      let even = 0;
      let odd = 0;
      for (let frequency = 0; frequency < length - 1; frequency += 2) {
        even += backward[first + frequency]! * values[at + frequency]!;
        odd += backward[first + frequency + 1]! * values[at + frequency + 1]!;
      }
      if ((length & 1) === 1) even += backward[first + length - 1]! * values[last]!;
      sums[position] = even + odd;
      differences[position] = even - odd;
    }
    for (let position = 0; position < half; position++) {
      values[last - position] = differences[position]!;
      values[at + position] = sums[position]!;
    }
  }
}

/** All three axes of one channel, in place. */
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
    // A row at a time: what is combined stays in the processor's cache.
    for (let row = 0; row < height; row++) {
      const first = start * plane + row * width;
      transformStretch(values, spare, first, basisOf(length), plane, width, isForward);
    }
  }
}

/** What `transformChannel` needs beside the channel. */
function spareFor({ extents, longestTime, longestRow }: BlockLayout): Float32Array {
  return new Float32Array((Math.max(longestTime, longestRow) + 1) * extents.width);
}

/**
 * Coefficients of a latent: an orthonormal cosine transform of every block along time, height and
 * width. White noise stays white noise of the same variance.
 *
 * @param latent `[C, T, H, W]`
 * @returns in the order of the layout
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

/** The latent `[C, T, H, W]` that `toCoefficients` took the coefficients of. */
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

/** Where the first channel's coefficient of each position of a transformed channel goes. */
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
