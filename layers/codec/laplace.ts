/** e^(-1/32): tails are tabulated by 32nds of the scale. */
const STEP_OF_TAIL = 0.9692332344763441;
const ENTRIES_PER_SCALE = 32;
const LAST_ENTRY = 12 * ENTRIES_PER_SCALE;

/**
 * exp(-x) at x = index / 32. Built by multiplication, and looked up by a rounded index: both are the same
 * on every machine, as coding needs it; `Math.exp` is not.
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

/** About exp(-size / scale), the share of a Laplace distribution's one side beyond `size`. */
export function tailBeyond(size: number, scale: number): number {
  const index = (size / scale) * ENTRIES_PER_SCALE + 0.5;
  return TAILS[index > LAST_ENTRY ? LAST_ENTRY : index | 0]!;
}

/**
 * Probability that a number of a Laplace distribution with mean 0, known to lie in `low..high`, lies
 * below `middle`.
 *
 * @param scale mean magnitude
 */
export function probabilityBelow(low: number, middle: number, high: number, scale: number): number {
  if (low >= 0) {
    const beyond = tailBeyond(high - low, scale);
    return (1 - tailBeyond(middle - low, scale) + 1e-6) / (1 - beyond + 2e-6);
  }
  if (high <= 0) return 1 - probabilityBelow(-high, -middle, -low, scale);
  const left = 1 - tailBeyond(-low, scale);
  const right = 1 - tailBeyond(high, scale);
  const toMiddle =
    middle >= 0
      ? left + 1 - tailBeyond(middle, scale)
      : tailBeyond(-middle, scale) - tailBeyond(-low, scale);
  return (toMiddle + 1e-6) / (left + right + 2e-6);
}

/** Mean of that number: what a reader who wants no noise takes for it. Not used in coding. */
export function meanWithin(low: number, high: number, scale: number): number {
  if (low >= 0) return low + meanFromZero(high - low, scale);
  if (high <= 0) return high - meanFromZero(high - low, scale);
  const left = 1 - Math.exp(low / scale);
  const right = 1 - Math.exp(-high / scale);
  const sum = left + right;
  if (!(sum > 0)) return 0;
  return (right * meanFromZero(high, scale) - left * meanFromZero(-low, scale)) / sum;
}

/** Mean of an exponential distribution cut at `width`. */
function meanFromZero(width: number, scale: number): number {
  const ratio = width / scale;
  if (ratio < 1e-3) return width / 2;
  if (ratio > 40) return scale;
  return scale - width / (Math.exp(ratio) - 1);
}
