import type { BitCoder } from './range-coder.ts';

/** Fixed-point 1 of probabilities. */
export const ONE = 65536;
/** Minimum distance of coded probabilities from 0 and 1, of 65536. */
const MARGIN = 8;
/** Expected log-odds are quantized to thirds and clipped at 10. */
const MAX_LEVEL = 30;
/** Number of expectation levels per kind of bit. */
const LEVELS = 2 * MAX_LEVEL + 1;
/** Weight of the expectation, in observations. */
const EXPECTED_COUNT = 6;
const SLOWEST_COUNT = 250;
/** Learning rate after n observations. */
const RATES = Float64Array.from({ length: SLOWEST_COUNT + 1 }, (_, n) => 1 / (n + 1.5));

/** Level of a probability by its upper 12 bits. */
const LEVEL_OF_PROBABILITY = levelTable();

function levelTable(): Uint8Array {
  const table = new Uint8Array(4096);
  // e^(1/3): the odds ratio of adjacent levels.
  const ratio = 1.3956124250860895;
  const thresholds: number[] = [];
  let edge = Math.sqrt(ratio);
  for (let level = 1; level <= MAX_LEVEL; level++) {
    thresholds.push(edge / (1 + edge));
    edge *= ratio;
  }
  for (let index = 0; index < table.length; index++) {
    const probability = (index + 0.5) / table.length;
    const upper = probability >= 0.5 ? probability : 1 - probability;
    let level = 0;
    while (level < MAX_LEVEL && upper > thresholds[level]!) level++;
    table[index] = probability >= 0.5 ? MAX_LEVEL + level : MAX_LEVEL - level;
  }
  return table;
}

/**
 * Codes bits with a model's expected probability, and learns to correct it: each kind of bit tracks
 * the observed frequency per expectation level.
 */
export class ExpectedBits {
  readonly #coder: BitCoder;
  /** Observed probability of a 1, of 65536; 0 without observations. */
  readonly #learned: Float64Array;
  readonly #counts: Uint8Array;

  constructor(coder: BitCoder, kinds: number) {
    this.#coder = coder;
    this.#learned = new Float64Array(kinds * LEVELS);
    this.#counts = new Uint8Array(kinds * LEVELS);
  }

  /** Codes a bit. @param expected probability of a 1: an integer, 0..65536 */
  code(bit: number, kind: number, expected: number): number {
    const bounded = expected < 1 ? 1 : expected > ONE - 1 ? ONE - 1 : expected;
    const context = kind * LEVELS + LEVEL_OF_PROBABILITY[bounded >>> 4]!;
    const counts = this.#counts;
    const learnedOf = this.#learned;
    let count = counts[context]!;
    let learned = learnedOf[context]!;
    if (count === 0) {
      learned = bounded;
      count = EXPECTED_COUNT;
    }
    const probability = learned | 0;
    const sent =
      probability < MARGIN ? MARGIN : probability > ONE - MARGIN ? ONE - MARGIN : probability;
    const coded = this.#coder.code(bit, sent);
    learnedOf[context] = learned + ((coded === 1 ? ONE : 0) - learned) * RATES[count]!;
    counts[context] = count < SLOWEST_COUNT ? count + 1 : count;
    return coded;
  }
}
