import type { Tracks } from './tracks.ts';

const basesByLength = new Map<number, Float64Array>();

/** Orthonormal DCT-II of a length: `basis[frequency * length + frame]`. */
function basisOf(length: number): Float64Array {
  const known = basesByLength.get(length);
  if (known !== undefined) return known;
  const basis = new Float64Array(length * length);
  for (let frequency = 0; frequency < length; frequency++) {
    const scale = Math.sqrt((frequency === 0 ? 1 : 2) / length);
    for (let frame = 0; frame < length; frame++) {
      basis[frequency * length + frame] =
        scale * Math.cos((Math.PI * (frame + 0.5) * frequency) / length);
    }
  }
  basesByLength.set(length, basis);
  return basis;
}

/**
 * Coefficients of every track of one channel: an orthonormal cosine transform along time, as long
 * as the track. Frequency 0 is the mean times the square root of the length.
 *
 * @param channel `[T * H * W]`
 * @returns `[T, count + 1]`: frequency by track; 0 where a track is too short
 */
export function transformTracks(
  channel: Float32Array,
  { count, positions, starts, lengths }: Tracks,
  frames: number,
): Float32Array {
  const stride = count + 1;
  const coefficients = new Float32Array(frames * stride);
  for (let track = 0; track < count; track++) {
    const length = lengths[track]!;
    const start = starts[track]!;
    const basis = basisOf(length);
    for (let frequency = 0; frequency < length; frequency++) {
      let sum = 0;
      for (let frame = 0; frame < length; frame++) {
        sum += basis[frequency * length + frame]! * channel[positions[start + frame]!]!;
      }
      coefficients[frequency * stride + track] = sum;
    }
  }
  return coefficients;
}

/** Writes the values that `transformTracks` took the coefficients of into `channel`. */
export function restoreTracks(
  coefficients: Float32Array,
  { count, positions, starts, lengths }: Tracks,
  channel: Float32Array,
): void {
  const stride = count + 1;
  for (let track = 0; track < count; track++) {
    const length = lengths[track]!;
    const start = starts[track]!;
    const basis = basisOf(length);
    for (let frame = 0; frame < length; frame++) {
      let sum = 0;
      for (let frequency = 0; frequency < length; frequency++) {
        sum += basis[frequency * length + frame]! * coefficients[frequency * stride + track]!;
      }
      channel[positions[start + frame]!] = sum;
    }
  }
}
