import type { BitCoder } from './range-coder.ts';

/** Log-odds have a resolution of 1/256 and are clipped at +-8. */
const MAX_LOG_ODDS = 2047;
/** e^(1/256). */
const LOG_ODDS_UNIT = 1.0039138893383475;
const ONE = 65536;
/** Log-odds are tabulated by the upper 12 bits of a probability. */
const TABULATED = 16;
/** Shift from a context's word to the upper 12 bits of its probability. */
const TABULATED_SHIFT = 20;

/** Probability of a 1 (16-bit) for each log-odds value, offset by `MAX_LOG_ODDS`. */
const PROBABILITY_OF_LOG_ODDS = probabilityTable();
const LOG_ODDS_OF_PROBABILITY = logOddsTable();

/** The n-th observation of a context moves its probability by 1/(n + 1.8), at least by 1/LIMIT. */
const SLOWEST_RATE_COUNT = 120;
const RATES = Float64Array.from({ length: SLOWEST_RATE_COUNT + 1 }, (_, n) => 1 / (n + 1.8));
/** Confidence in a context, which grows with its observations. */
const TRUST = Float64Array.from(
  { length: SLOWEST_RATE_COUNT + 1 },
  (_, n) => (n + 0.2) / (n + 1.2),
);
/**
 * Weights sum to a little more than 1: agreeing contexts are more certain together than each alone.
 */
const INITIAL_WEIGHT_SUM = 1.4;
/** Minimum distance of probabilities from 0 and 1, of 65536. */
const MARGIN = 16;

/** A context is one word, to fit the processor's caches: 24 bits of probability, 8 of count. */
const COUNT_BITS = 8;
const COUNT_MASK = 0xff;
const PROBABILITY_SHIFT = 24 - 16;
const UNSEEN = (ONE / 2) * 2 ** (PROBABILITY_SHIFT + COUNT_BITS);
const MAX_TARGET = (ONE - MARGIN) * 2 ** PROBABILITY_SHIFT;
const MIN_TARGET = MARGIN * 2 ** PROBABILITY_SHIFT;

/** Updates a context with a bit. */
function learn(context: number, bit: number): number {
  const count = context & COUNT_MASK;
  const probability = context >>> COUNT_BITS;
  const target = bit === 1 ? MAX_TARGET : MIN_TARGET;
  const learned = (probability + (target - probability) * RATES[count]!) | 0;
  return (learned << COUNT_BITS) | (count < SLOWEST_RATE_COUNT ? count + 1 : count);
}

/**
 * Predicts bits from several contexts at once and learns which contexts to trust: each context
 * keeps an adaptive probability, and a small logistic regression mixes their log-odds (Mahoney,
 * "Adaptive weighing of context models for lossless data compression", 2005).
 *
 * Encoder and decoder run it in lockstep. It uses only `+ - * /` on doubles, which IEEE 754 rounds
 * deterministically, so a file written on one machine decodes on another.
 */
export class BitMixer {
  readonly inputs: number;
  /** Offset of each input's contexts in the index space of `code`. */
  readonly firstContexts: readonly number[];
  readonly #contexts: Uint32Array;
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
    this.#contexts = new Uint32Array(total).fill(UNSEEN);
    this.#weights = new Float64Array(selectorCount * this.inputs).fill(
      INITIAL_WEIGHT_SUM / this.inputs,
    );
    this.#logOdds = new Float64Array(this.inputs);
    this.#learningRate = learningRate;
  }

  /**
   * Codes a bit.
   *
   * @param contexts one per input, including `firstContexts`
   * @param offset added to every context
   * @param selector weight set that mixes them
   */
  code(
    coder: BitCoder,
    bit: number,
    contexts: Int32Array,
    offset: number,
    selector: number,
  ): number {
    const inputs = this.inputs;
    const words = this.#contexts;
    const weights = this.#weights;
    const logOdds = this.#logOdds;
    const firstWeight = selector * inputs;
    let sum = 0;
    for (let input = 0; input < inputs; input++) {
      const word = words[contexts[input]! + offset]!;
      const opinion =
        LOG_ODDS_OF_PROBABILITY[word >>> TABULATED_SHIFT]! * TRUST[word & COUNT_MASK]!;
      logOdds[input] = opinion;
      sum += opinion * weights[firstWeight + input]!;
    }
    if (sum > MAX_LOG_ODDS) sum = MAX_LOG_ODDS;
    else if (sum < -MAX_LOG_ODDS) sum = -MAX_LOG_ODDS;
    const probability = PROBABILITY_OF_LOG_ODDS[(sum + MAX_LOG_ODDS + 0.5) | 0]!;
    const coded = coder.code(bit, probability);

    const correction = ((coded === 1 ? ONE : 0) - probability) * this.#learningRate;
    for (let input = 0; input < inputs; input++) {
      const context = contexts[input]! + offset;
      weights[firstWeight + input]! += correction * logOdds[input]!;
      words[context] = learn(words[context]!, coded);
    }
    return coded;
  }
}

function probabilityTable(): Uint16Array {
  const table = new Uint16Array(2 * MAX_LOG_ODDS + 1);
  let odds = 1;
  for (let logOdds = 0; logOdds <= MAX_LOG_ODDS; logOdds++) {
    const probability = Math.round((ONE * odds) / (1 + odds));
    table[MAX_LOG_ODDS + logOdds] = probability;
    table[MAX_LOG_ODDS - logOdds] = ONE - probability;
    odds *= LOG_ODDS_UNIT;
  }
  return table;
}

function logOddsTable(): Int16Array {
  const table = new Int16Array(ONE / TABULATED);
  let logOdds = -MAX_LOG_ODDS;
  for (let index = 0; index < table.length; index++) {
    const middle = (index + 0.5) * TABULATED;
    while (logOdds < MAX_LOG_ODDS && PROBABILITY_OF_LOG_ODDS[logOdds + MAX_LOG_ODDS]! < middle) {
      logOdds++;
    }
    table[index] = logOdds;
  }
  return table;
}
