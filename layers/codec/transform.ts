import type { BlockLayout } from './blocks.ts';

const basesByLength = new Map<number, Float32Array>();

/** Orthonormal DCT-II of a length: `basis[frequency * length + position]`. */
function basisOf(length: number): Float32Array {
  const known = basesByLength.get(length);
  if (known !== undefined) return known;
  const basis = new Float32Array(length * length);
  for (let frequency = 0; frequency < length; frequency++) {
    const scale = Math.sqrt((frequency === 0 ? 1 : 2) / length);
    for (let position = 0; position < length; position++) {
      basis[frequency * length + position] =
        scale * Math.cos((Math.PI * (position + 0.5) * frequency) / length);
    }
  }
  basesByLength.set(length, basis);
  return basis;
}

/**
 * Transforms stretches of an axis: `lines` numbers lie beside each other at each of `length` positions
 * that are `stride` apart. Forward takes values to coefficients, backward coefficients to values.
 */
function transformStretch(
  from: Float32Array,
  to: Float32Array,
  start: number,
  length: number,
  stride: number,
  lines: number,
  isForward: boolean,
): void {
  const basis = basisOf(length);
  for (let result = 0; result < length; result++) {
    const target = start + result * stride;
    for (let term = 0; term < length; term++) {
      const factor = basis[isForward ? result * length + term : term * length + result]!;
      const source = start + term * stride;
      if (term === 0) {
        for (let line = 0; line < lines; line++) to[target + line] = factor * from[source + line]!;
      } else {
        for (let line = 0; line < lines; line++)
          to[target + line]! += factor * from[source + line]!;
      }
    }
  }
}

/** Transforms stretches of the last axis: rows of `length` numbers, `rowStride` apart. */
function transformRows(
  from: Float32Array,
  to: Float32Array,
  start: number,
  length: number,
  rowStride: number,
  rows: number,
  isForward: boolean,
): void {
  const basis = basisOf(length);
  for (let row = 0; row < rows; row++) {
    const at = start + row * rowStride;
    for (let result = 0; result < length; result++) {
      let sum = 0;
      if (isForward) {
        const first = result * length;
        for (let term = 0; term < length; term++) sum += basis[first + term]! * from[at + term]!;
      } else {
        for (let term = 0; term < length; term++) {
          sum += basis[term * length + result]! * from[at + term]!;
        }
      }
      to[at + result] = sum;
    }
  }
}

/** All three axes of one channel, in place; `spare` is as long. */
function transformChannel(
  values: Float32Array,
  spare: Float32Array,
  { extents, times, rows, columns }: BlockLayout,
  isForward: boolean,
): void {
  const { frames, height, width } = extents;
  for (const { start, length } of columns) {
    transformRows(values, spare, start, length, width, frames * height, isForward);
  }
  for (let frame = 0; frame < frames; frame++) {
    for (const { start, length } of rows) {
      const first = (frame * height + start) * width;
      transformStretch(spare, values, first, length, width, width, isForward);
    }
  }
  const plane = height * width;
  for (const { start, length } of times) {
    transformStretch(values, spare, start * plane, length, plane, plane, isForward);
  }
  values.set(spare);
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
  const positions = latent.length / layout.extents.channels;
  const values = new Float32Array(positions);
  const spare = new Float32Array(positions);
  const places = placesOf(layout);
  const { channels } = layout.extents;
  for (let channel = 0; channel < channels; channel++) {
    values.set(latent.subarray(channel * positions, (channel + 1) * positions));
    transformChannel(values, spare, layout, true);
    for (let position = 0; position < positions; position++) {
      coefficients[places[position]! + channel] = values[position]!;
    }
  }
  return coefficients;
}

/** The latent `[C, T, H, W]` that `toCoefficients` took the coefficients of. */
export function fromCoefficients(coefficients: Float32Array, layout: BlockLayout): Float32Array {
  const { channels, frames, height, width } = layout.extents;
  const positions = frames * height * width;
  const latent = new Float32Array(channels * positions);
  const spare = new Float32Array(positions);
  const places = placesOf(layout);
  for (let channel = 0; channel < channels; channel++) {
    const values = latent.subarray(channel * positions, (channel + 1) * positions);
    for (let position = 0; position < positions; position++) {
      values[position] = coefficients[places[position]! + channel]!;
    }
    transformChannel(values, spare, layout, false);
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
