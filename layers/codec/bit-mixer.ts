import type { BitCoder } from './range-coder.ts';

/** Log-odds are kept in 1/256 of a unit and cut at +-8 units. */
const LARGEST_LOG_ODDS = 2047;
/** e^(1/256). */
const LOG_ODDS_UNIT = 1.003913889338347573;
const ONE = 65536;
/** Log-odds are tabulated by a probability's upper 12 bits. */
const TABULATED = 16;

/** Probability of a 1 (16-bit) of a log-odds value, offset by `LARGEST_LOG_ODDS`. */
const PROBABILITY_OF_LOG_ODDS = probabilityTable();
const LOG_ODDS_OF_PROBABILITY = logOddsTable();

/** The n-th observation of a context moves its probability by 1/(n + 1.8), at least by 1/LIMIT. */
const SLOWEST_RATE_COUNT = 120;
const RATES = Float64Array.from({ length: SLOWEST_RATE_COUNT + 1 }, (_, n) => 1 / (n + 1.8));
/** A context that was never seen says little; trust grows with its observations. */
const TRUST = Float64Array.from(
  { length: SLOWEST_RATE_COUNT + 1 },
  (_, n) => (n + 0.2) / (n + 1.2),
);
/** Weights sum to a little more than 1: contexts that agree are more certain than each alone. */
const INITIAL_WEIGHT_SUM = 1.4;
/** Probabilities stay this far from 0 and 1, of 65536. */
const MARGIN = 16;

/**
 * Predicts bits from several contexts at once and learns which contexts to believe: each context
 * keeps an adaptive probability, and a small logistic regression mixes their log-odds (Mahoney,
 * "Adaptive weighing of context models for lossless data compression", 2005).
 *
 * Encoder and decoder run it in step. It uses only `+ - * /` on doubles, which IEEE 754 rounds one
 * way, so a file written on one machine decodes on another.
 */
export class BitMixer {
  readonly inputs: number;
  /** Where each input's contexts begin in the space that `code` is given contexts of. */
  readonly firstContexts: readonly number[];
  readonly #probabilities: Float64Array;
  readonly #counts: Uint8Array;
  readonly #weights: Float64Array;
  readonly #logOdds: Float64Array;
  readonly #learningRate: number;

  /**
   * @param contextCounts number of contexts of each input
   * @param selectorCount number of weight sets
   */
  constructor(contextCounts: readonly number[], selectorCount: number, learningRate: number) {
    let total = 0;
    this.firstContexts = contextCounts.map((count) => (total += count) - count);
    this.inputs = contextCounts.length;
    this.#probabilities = new Float64Array(total).fill(ONE / 2);
    this.#counts = new Uint8Array(total);
    this.#weights = new Float64Array(selectorCount * this.inputs).fill(
      INITIAL_WEIGHT_SUM / this.inputs,
    );
    this.#logOdds = new Float64Array(this.inputs);
    this.#learningRate = learningRate;
  }

  /**
   * @param contexts one per input, `firstContexts` added
   * @param offset added to every context
   * @param selector which weight set mixes them
   */
  code(
    coder: BitCoder,
    bit: number,
    contexts: Int32Array,
    offset: number,
    selector: number,
  ): number {
    const inputs = this.inputs;
    const probabilities = this.#probabilities;
    const counts = this.#counts;
    const weights = this.#weights;
    const logOdds = this.#logOdds;
    const firstWeight = selector * inputs;
    let sum = 0;
    for (let input = 0; input < inputs; input++) {
      const context = contexts[input]! + offset;
      const opinion =
        LOG_ODDS_OF_PROBABILITY[(probabilities[context]! / TABULATED) | 0]! *
        TRUST[counts[context]!]!;
      logOdds[input] = opinion;
      sum += opinion * weights[firstWeight + input]!;
    }
    if (sum > LARGEST_LOG_ODDS) sum = LARGEST_LOG_ODDS;
    else if (sum < -LARGEST_LOG_ODDS) sum = -LARGEST_LOG_ODDS;
    const probability = PROBABILITY_OF_LOG_ODDS[(sum + LARGEST_LOG_ODDS + 0.5) | 0]!;
    const coded = coder.code(bit, probability);

    const correction = ((coded === 1 ? ONE : 0) - probability) * this.#learningRate;
    const target = coded === 1 ? ONE - MARGIN : MARGIN;
    for (let input = 0; input < inputs; input++) {
      const context = contexts[input]! + offset;
      weights[firstWeight + input]! += correction * logOdds[input]!;
      const count = counts[context]!;
      probabilities[context]! += (target - probabilities[context]!) * RATES[count]!;
      if (count < SLOWEST_RATE_COUNT) counts[context] = count + 1;
    }
    return coded;
  }
}

/** One adaptive probability per context and no mixing, for what is rare or nearly random. */
export class AdaptiveBits {
  readonly #probabilities: Float64Array;
  readonly #counts: Uint8Array;

  constructor(contextCount: number) {
    this.#probabilities = new Float64Array(contextCount).fill(ONE / 2);
    this.#counts = new Uint8Array(contextCount);
  }

  code(coder: BitCoder, bit: number, context: number): number {
    const probability = this.#probabilities[context]! | 0;
    const coded = coder.code(bit, probability);
    const target = coded === 1 ? ONE - MARGIN : MARGIN;
    const count = this.#counts[context]!;
    this.#probabilities[context]! += (target - this.#probabilities[context]!) * RATES[count]!;
    if (count < SLOWEST_RATE_COUNT) this.#counts[context] = count + 1;
    return coded;
  }
}

function probabilityTable(): Uint16Array {
  const table = new Uint16Array(2 * LARGEST_LOG_ODDS + 1);
  let odds = 1;
  for (let logOdds = 0; logOdds <= LARGEST_LOG_ODDS; logOdds++) {
    const probability = Math.round((ONE * odds) / (1 + odds));
    table[LARGEST_LOG_ODDS + logOdds] = probability;
    table[LARGEST_LOG_ODDS - logOdds] = ONE - probability;
    odds *= LOG_ODDS_UNIT;
  }
  return table;
}

function logOddsTable(): Float64Array {
  const table = new Float64Array(ONE / TABULATED);
  let logOdds = -LARGEST_LOG_ODDS;
  for (let index = 0; index < table.length; index++) {
    const middle = (index + 0.5) * TABULATED;
    while (
      logOdds < LARGEST_LOG_ODDS &&
      PROBABILITY_OF_LOG_ODDS[logOdds + LARGEST_LOG_ODDS]! < middle
    ) {
      logOdds++;
    }
    table[index] = logOdds;
  }
  return table;
}
