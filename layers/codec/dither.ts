import { createRandomSource } from '#core/random.ts';

/** Spacing of the numbers. */
const STEP = 2 ** -24;
const DRAWN_AT_ONCE = 1024;

/** Computes the grid offset of each coefficient, 0..1 of a cell, from the seed. */
export function ditherOf(seed: number, count: number): Float32Array {
  return uniform(seed, 'dither', count);
}

/** Computes the noise that replaces dead-zone coefficients for re-noising, 0..1. */
export function fillOf(seed: number, count: number): Float32Array {
  return uniform(seed, 'fill', count);
}

/** Draws numbers k / 2^24 with k in 0..2^24-1: floats below 1. */
function uniform(seed: number, stream: string, count: number): Float32Array {
  const random = createRandomSource(seed, stream);
  const numbers = new Float32Array(count);
  const drawn = new Uint32Array(Math.min(count, DRAWN_AT_ONCE));
  for (let first = 0; first < count; first += drawn.length) {
    random.fill(drawn);
    const end = Math.min(drawn.length, count - first);
    for (let index = 0; index < end; index++) {
      numbers[first + index] = (drawn[index]! >>> 8) * STEP;
    }
  }
  return numbers;
}
