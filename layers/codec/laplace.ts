import { ONE } from './expected-bits.ts';

/** e^(-1/32): tails are tabulated by 32nds of the scale. */
const STEP_OF_TAIL = 0.9692332344763441;
const ENTRIES_PER_SCALE = 32;
const LAST_ENTRY = 12 * ENTRIES_PER_SCALE;

/**
 * exp(-x) at x = index / 32, built by multiplication and looked up by a rounded index. Both are
 * identical on every machine, as coding requires; `Math.exp` is not.
 */
const TAILS = tailTable();

function tailTable(): Float64Array {
  const table = new Float64Array(LAST_ENTRY + 1);
  let tail = 1;
  for (let index = 0; index <= LAST_ENTRY; index++) {
    table[index] = tail;
    tail *= STEP_OF_TAIL;
  }
  return table;
}

/** Probability of the half of a cell nearer to 0, of 65536, by the sum of its two tail indices. */
const NEAR_HALF_CHANCES = new Int32Array(2 * LAST_ENTRY + 1);
/** Probability of the other half. */
const FAR_HALF_CHANCES = new Int32Array(2 * LAST_ENTRY + 1);
for (let ofHalf = 0; ofHalf <= LAST_ENTRY; ofHalf++) {
  for (let ofWhole = 2 * ofHalf - 1; ofWhole <= 2 * ofHalf + 1; ofWhole++) {
    const whole = Math.max(0, Math.min(LAST_ENTRY, ofWhole));
    const near = (1 - TAILS[ofHalf]! + 1e-6) / (1 - TAILS[whole]! + 2e-6);
    NEAR_HALF_CHANCES[ofHalf + whole] = (1 - (1 - near)) * ONE;
    FAR_HALF_CHANCES[ofHalf + whole] = (1 - near) * ONE;
  }
}

/**
 * Approximates exp(-sizes), the share of one side of a Laplace distribution beyond a size.
 *
 * @param sizes size in units of the scale
 */
export function tailBeyond(sizes: number): number {
  const entry = sizes * ENTRIES_PER_SCALE + 0.5;
  return TAILS[entry > LAST_ENTRY ? LAST_ENTRY : entry | 0]!;
}

/**
 * Computes the probability that a zero-mean Laplace number, known to lie within `width` above
 * `low`, lies in the upper half of that interval: an integer of 65536.
 *
 * @param scale mean magnitude
 */
export function upperHalfChance(low: number, width: number, scale: number): number {
  const half = width / 2;
  const middle = low + half;
  const high = middle + half;
  if (low >= 0 || high <= 0) {
    // The probability of the half nearer to 0 depends only on the width, through two tail indices:
    // of the half and of the whole. The second is about twice the first, so their sum identifies
    // both.
    const ofHalf = (half / scale) * ENTRIES_PER_SCALE;
    const sum = entryAt(ofHalf) + entryAt(2 * ofHalf);
    return low >= 0 ? FAR_HALF_CHANCES[sum]! : NEAR_HALF_CHANCES[sum]!;
  }
  const beyondLow = tailBeyond(-low / scale);
  const left = 1 - beyondLow;
  const right = 1 - tailBeyond(high / scale);
  const toMiddle =
    middle >= 0 ? left + 1 - tailBeyond(middle / scale) : tailBeyond(-middle / scale) - beyondLow;
  return ((1 - (toMiddle + 1e-6) / (left + right + 2e-6)) * ONE) | 0;
}

function entryAt(position: number): number {
  const entry = position + 0.5;
  return entry > LAST_ENTRY ? LAST_ENTRY : entry | 0;
}

/**
 * Computes the conditional mean of a Laplace number in `low..high`, for reconstruction without
 * noise. Not used in coding.
 */
export function meanWithin(low: number, high: number, scale: number): number {
  if (low >= 0) return low + meanFromZero(high - low, scale);
  if (high <= 0) return high - meanFromZero(high - low, scale);
  const left = 1 - Math.exp(low / scale);
  const right = 1 - Math.exp(-high / scale);
  const sum = left + right;
  if (!(sum > 0)) return 0;
  return (right * meanFromZero(high, scale) - left * meanFromZero(-low, scale)) / sum;
}

/** Computes the mean of an exponential distribution truncated at `width`. */
function meanFromZero(width: number, scale: number): number {
  const ratio = width / scale;
  if (ratio < 1e-3) return width / 2;
  if (ratio > 40) return scale;
  return scale - width / (Math.exp(ratio) - 1);
}
