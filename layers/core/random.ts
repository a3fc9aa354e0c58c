/** A stream of uniform numbers; the same seed and stream name give the same numbers everywhere. */
export interface RandomSource {
  /** Uniform integer 0..2^32-1. */
  nextUint32(): number;
  /** Fills an array with the numbers that as many calls of `nextUint32` would give. */
  fill(numbers: Uint32Array): void;
  /** Uniform integer 0..bound-1; `bound` is far below 2^32, so its bias is not noticeable. */
  nextBelow(bound: number): number;
}

const GOLDEN_GAMMA = 0x9e3779b9;
const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;
/** Numbers are drawn so many at a time. */
const BLOCK_LENGTH = 64;

/**
 * xoshiro128** 1.1 (Blackman and Vigna, prng.di.unimi.it/xoshiro128starstar.c), integer arithmetic
 * only. Its 128 bits of state are the output of a 32-bit mixer run from the seed and the stream's
 * name, so two streams of one seed do not correlate.
 *
 * @param seed integer 0..2^32-1
 */
export function createRandomSource(seed: number, stream: string): RandomSource {
  let mixerState = (seed ^ hashStreamName(stream)) >>> 0;
  const nextMixed = (): number => {
    mixerState = (mixerState + GOLDEN_GAMMA) >>> 0;
    return mix32(mixerState);
  };
  mixerState = (nextMixed() + seed) >>> 0;
  const state = Int32Array.of(nextMixed(), nextMixed(), nextMixed(), nextMixed() | 1);

  const block = new Uint32Array(BLOCK_LENGTH);
  let taken = block.length;

  const nextUint32 = (): number => {
    if (taken === block.length) {
      drawBlock(state, block);
      taken = 0;
    }
    return block[taken++]!;
  };
  return {
    nextUint32,
    fill: (numbers) => {
      const rest = block.subarray(taken, taken + numbers.length);
      numbers.set(rest);
      taken += rest.length;
      drawBlock(state, numbers.subarray(rest.length));
    },
    nextBelow: (bound) => Math.floor((nextUint32() / 2 ** 32) * bound),
  };
}

/** Fills the block with the generator's next numbers; in a loop its state stays in registers. */
function drawBlock(state: Int32Array, block: Uint32Array): void {
  let a = state[0]!;
  let b = state[1]!;
  let c = state[2]!;
  let d = state[3]!;
  for (let index = 0; index < block.length; index++) {
    block[index] = Math.imul(rotateLeft(Math.imul(b, 5), 7), 9);
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = rotateLeft(d, 11);
  }
  state[0] = a;
  state[1] = b;
  state[2] = c;
  state[3] = d;
}

function rotateLeft(value: number, count: number): number {
  return (value << count) | (value >>> (32 - count));
}

/** The finaliser of MurmurHash3 (public domain, Appleby). */
function mix32(value: number): number {
  let mixed = value;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

/** FNV-1a over UTF-16 units. */
function hashStreamName(stream: string): number {
  let hash = FNV_OFFSET;
  for (let index = 0; index < stream.length; index++) {
    hash = Math.imul(hash ^ stream.charCodeAt(index), FNV_PRIME);
  }
  return hash >>> 0;
}
