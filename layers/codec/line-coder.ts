import type { BlockLayout } from './blocks.ts';
import { ExpectedBits, ONE } from './expected-bits.ts';
import { tailBeyond, upperHalfChance } from './laplace.ts';
import { DEAD_ZONE_SHARES, LAYER_HALVINGS, LAYERS } from './layers.ts';
import type { BitCoder } from './range-coder.ts';

/**
 * Halvings from a cell of the first layer to one of the last layer, the unit of all widths here.
 */
export const FINEST_HALVINGS = LAYER_HALVINGS[LAYERS - 1]!;

/** Cell index of a coefficient that is only known to be in the dead zone. */
export const IN_DEAD_ZONE = 1 << 31;

/** Kinds of bits, each with its own statistics. */
const IS_OTHER = 0;
const IS_BEYOND = 1;
const IS_NEGATIVE = 2;
const IS_MORE = 3;
const IS_MUCH_MORE = 4;
const IS_UPPER_HALF = 5;
const IS_LONG = 6;
const REST = 7;
const IS_LOUD = 8;
const KINDS = 9;

/** Distances are coded in unary up to this many above the minimum, then as an Exp-Golomb number. */
const UNARY_LIMIT = 20;
const MAX_REST = 28;

/** Weights of the averaged inputs of the expected scale. */
const WEIGHT_OF_BAND = 0.35;
const WEIGHT_OF_CHANNELS = 0.35;
const WEIGHT_OF_LOWER = 0.3;
const WEIGHT_OF_BLOCK = 0.3;
/** Decay of sizes with frequency. */
const FALL = 0.6;
const MIN_SCALE_SHARE = 1e-3;
/** Assumed size of a coefficient in the dead zone or the zero cell, as a share of its scale. */
const SIZE_OF_SMALL = 0.9;
const MAX_SMALL_SHARE = 0.2;
const RATIO_RATE = 0.06;
/** A band's mean covers at most this many coefficients. */
const MAX_BAND_MEMORY = 200;
const BAND_RATES = Float64Array.from({ length: MAX_BAND_MEMORY + 1 }, (_, n) => 1 / (n + 2));
/**
 * If the expected sizes of all channels are far inside the dead zone, one bit codes it for all of
 * them.
 */
const QUIET_SHARE = 0.25;

/** State of a latent's coefficients in layout order; each layer refines it. */
export interface KnownCoefficients {
  /** Grid offset of each coefficient, 0 to one cell of the first layer. */
  readonly offsets: Float32Array;
  /** Cell index of each coefficient in cells of the last coded layer, or `IN_DEAD_ZONE`. */
  readonly cells: Int32Array;
  /** For all channels of a frequency in a block: 1 if the cell of any is known. */
  readonly isAnyKnown: Uint8Array;
  /**
   * Estimated magnitude of each coefficient, for predicting others. A line of zeros per block
   * follows, which serves as missing neighbors.
   */
  readonly sizes: Float32Array;
  /** Expected scale when last coded. */
  readonly scales: Float32Array;
  /** Mean size of each band. The first band has no parent, so its mean starts from a prior. */
  readonly bandMeans: Float64Array;
}

/**
 * Codes one layer line by line: a line is the coefficients of all channels of one frequency in one
 * block. One method call per line instead of one loop over all lines, so that the engine compiles
 * the method once and completely.
 */
export class LineCoder {
  readonly #layout: BlockLayout;
  readonly #known: KnownCoefficients;
  readonly #coefficients: Float32Array | null;
  readonly #bits: ExpectedBits;
  readonly #isFirst: boolean;
  readonly #channels: number;
  /** Cell width of this layer and its logarithm. */
  readonly #width: number;
  readonly #shift: number;
  /** Halvings of the previous layer's cells, and their width. */
  readonly #halvings: number;
  readonly #widthBefore: number;
  readonly #deadZoneScale: number;
  readonly #quietScale: number;
  readonly #smallestScale: number;
  readonly #largestSmall: number;
  readonly #weights: ScaleWeights;
  /** Ratio of each channel's sizes to the band mean. */
  readonly #ratios: Float64Array;
  readonly #bandCounts: Uint32Array;
  /** Band of the frequency, and offsets of its lower neighbors' lines. */
  #band = 0;
  #lowerTime = 0;
  #lowerRow = 0;
  #lowerColumn = 0;
  #weightOfLower = 0;
  /** Cell midpoint of each channel of the last line; 0 for the zero cell and the dead zone. */
  readonly centres: Float32Array;

  /** @param coefficients in cells of the last layer; null to decode */
  constructor(
    coder: BitCoder,
    layout: BlockLayout,
    layer: number,
    known: KnownCoefficients,
    coefficients: Float32Array | null,
  ) {
    const { channels } = layout.extents;
    this.#layout = layout;
    this.#known = known;
    this.#coefficients = coefficients;
    this.#bits = new ExpectedBits(coder, KINDS);
    this.#isFirst = layer === 0;
    this.#channels = channels;
    this.#shift = FINEST_HALVINGS - LAYER_HALVINGS[layer]!;
    this.#width = 2 ** this.#shift;
    this.#halvings = layer === 0 ? 0 : LAYER_HALVINGS[layer]! - LAYER_HALVINGS[layer - 1]!;
    this.#widthBefore = this.#width * 2 ** this.#halvings;
    this.#deadZoneScale = DEAD_ZONE_SHARES[layer]! * this.#width;
    this.#quietScale = QUIET_SHARE * this.#deadZoneScale;
    this.#smallestScale = MIN_SCALE_SHARE * this.#width;
    this.#largestSmall = MAX_SMALL_SHARE * this.#width;
    this.#weights = new ScaleWeights(channels);
    this.#ratios = new Float64Array(channels).fill(1);
    this.#bandCounts = new Uint32Array(layout.bandCount);
    this.centres = new Float32Array(channels);
  }

  /** Resets the channel ratios when the basis changes. */
  restartRatios(): void {
    this.#ratios.fill(1);
  }

  /** Starts the lines of a frequency; frequencies come in order. */
  enterFrequency(frequency: number): void {
    const { bands, parents, blocks, frequencies, time, row, column } = this.#layout;
    const { belowTime, belowRow, belowColumn } = this.#layout;
    const band = bands[frequency]!;
    this.#band = band;
    const parent = parents[band]!;
    if (this.#isFirst && this.#bandCounts[band] === 0 && parent >= 0) {
      this.#known.bandMeans[band] = this.#firstMean(band, parent);
    }
    const hasTime = time[frequency]! > 0;
    const hasRow = row[frequency]! > 0;
    const hasColumn = column[frequency]! > 0;
    const stride = blocks * this.#channels;
    this.#lowerTime = (hasTime ? belowTime[frequency]! : frequencies) * stride;
    this.#lowerRow = (hasRow ? belowRow[frequency]! : frequencies) * stride;
    this.#lowerColumn = (hasColumn ? belowColumn[frequency]! : frequencies) * stride;
    const count = (hasTime ? 1 : 0) + (hasRow ? 1 : 0) + (hasColumn ? 1 : 0);
    this.#weightOfLower = count === 0 ? 0 : (WEIGHT_OF_LOWER * FALL) / count;
  }

  /** Returns the prior mean size of a band. */
  #firstMean(band: number, parent: number): number {
    const { bandTimes } = this.#layout;
    const isSameTime = bandTimes[band] === bandTimes[parent];
    // The first band consists of the channel means, which tell little of the rest.
    return (isSameTime && parent > 0 ? 0.75 : 0.25) * this.#known.bandMeans[parent]!;
  }

  /**
   * Codes the line of a block at the current frequency.
   *
   * @returns whether any channel has a nonzero cell; `centres` then has the midpoints
   */
  codeLine(lineNumber: number, block: number): boolean {
    const { isAnyKnown, bandMeans } = this.#known;
    const band = this.#band;
    // An overflowed mean, which only a forged file has, must not spread.
    if (!(bandMeans[band]! >= this.#smallestScale)) bandMeans[band] = this.#smallestScale;
    const first = lineNumber * this.#channels;
    if (
      isAnyKnown[lineNumber] === 0 &&
      bandMeans[band]! < this.#quietScale &&
      this.#isQuiet(first)
    ) {
      return false;
    }
    return this.#codeChannels(lineNumber, block);
  }

  /** Codes whether all channels lie in the dead zone. */
  #isQuiet(first: number): boolean {
    const { offsets, sizes, scales, bandMeans } = this.#known;
    const channels = this.#channels;
    const bandMean = bandMeans[this.#band]!;
    const isLoud =
      this.#coefficients !== null &&
      isBeyondDeadZone(this.#coefficients, offsets, first, channels, this.#shift);
    const chance = 2 * channels * tailBeyond((1.5 * this.#width) / bandMean);
    const expected = ((chance > 0.5 ? 0.5 : chance) * ONE) | 0;
    if (this.#bits.code(isLoud ? 1 : 0, IS_LOUD, expected) === 1) return false;
    const ratios = this.#ratios;
    for (let channel = 0; channel < channels; channel++) {
      const scale = bandMean * ratios[channel]!;
      scales[first + channel] = scale;
      sizes[first + channel] = SIZE_OF_SMALL * scale;
    }
    return true;
  }

  #codeChannels(lineNumber: number, block: number): boolean {
    const { offsets, cells, sizes, scales, isAnyKnown, bandMeans } = this.#known;
    const coefficients = this.#coefficients;
    const bits = this.#bits;
    const isFirst = this.#isFirst;
    const channels = this.#channels;
    const width = this.#width;
    const shift = this.#shift;
    const smallestScale = this.#smallestScale;
    // Locals, because the engine would reload fields after each coded bit.
    const deadZoneScale = this.#deadZoneScale;
    const largestSmall = this.#largestSmall;
    const halvings = this.#halvings;
    const widthBefore = this.#widthBefore;
    const ratios = this.#ratios;
    const centres = this.centres;
    const band = this.#band;
    let bandMean = bandMeans[band]!;
    let bandCount = this.#bandCounts[band]!;
    const first = lineNumber * channels;
    const inStride = block * channels;
    const lowerTime = this.#lowerTime + inStride;
    const lowerRow = this.#lowerRow + inStride;
    const lowerColumn = this.#lowerColumn + inStride;
    const before = block > 0 ? first - channels : cells.length;
    const weightOfLower = this.#weightOfLower;
    const { trusts, perWeight } = this.#weights.of(weightOfLower > 0, block > 0);
    let channelSum = 0;
    let ratioSum = 0;
    let hasKnown = 0;
    let hasOther = false;
    for (let channel = 0; channel < channels; channel++) {
      const at = first + channel;
      const ratio = ratios[channel]!;
      let sum = WEIGHT_OF_BAND * bandMean * ratio;
      if (channel > 0) sum += (trusts[channel]! * channelSum * ratio) / ratioSum;
      const lower =
        sizes[lowerTime + channel]! + sizes[lowerRow + channel]! + sizes[lowerColumn + channel]!;
      sum += weightOfLower * lower;
      sum += WEIGHT_OF_BLOCK * sizes[before + channel]!;
      let scale = sum * perWeight[channel]!;
      if (!isFirst) scale = (scale + sizes[at]!) / 2;
      if (!(scale >= smallestScale)) scale = smallestScale;
      scales[at] = scale;

      const offset = offsets[at]!;
      const zeroCell = -Math.ceil(offset) >> shift;
      const wanted = coefficients === null ? 0 : Math.floor(coefficients[at]! - offset) >> shift;
      let cell = cells[at]!;
      if (cell !== IN_DEAD_ZONE) {
        let cellWidth = widthBefore;
        for (let halving = halvings - 1; halving >= 0; halving--) {
          const upper = upperHalfChance(offset + cell * cellWidth, cellWidth, scale);
          cell = cell * 2 + bits.code((wanted >> halving) & 1, IS_UPPER_HALF, upper);
          cellWidth /= 2;
        }
      } else {
        const distance = wanted - zeroCell;
        if (scale < deadZoneScale) {
          const beyond = (2 * ONE * tailBeyond((1.5 * width) / scale)) | 0;
          if (bits.code(distance > 1 || distance < -1 ? 1 : 0, IS_BEYOND, beyond) === 1) {
            cell = zeroCell + codeDistance(bits, distance, 2, ONE / 2, width, scale);
          }
        } else {
          const low = offset + zeroCell * width;
          const below = tailBeyond(-low / scale);
          const above = tailBeyond((low + width) / scale);
          const other = ((ONE / 2) * (below + above)) | 0;
          cell = zeroCell;
          if (bits.code(distance !== 0 ? 1 : 0, IS_OTHER, other) === 1) {
            const negative = ((below / (below + above)) * ONE) | 0;
            cell += codeDistance(bits, distance, 1, negative, width, scale);
          }
        }
      }
      cells[at] = cell;
      let size: number;
      if (cell === IN_DEAD_ZONE) {
        size = SIZE_OF_SMALL * scale;
        centres[channel] = 0;
      } else {
        hasKnown = 1;
        if (cell === zeroCell) {
          size = SIZE_OF_SMALL * scale;
          if (size > largestSmall) size = largestSmall;
          centres[channel] = 0;
        } else {
          const centre = offset + (cell + 0.5) * width;
          size = centre < 0 ? -centre : centre;
          centres[channel] = centre;
          hasOther = true;
        }
      }
      sizes[at] = size;
      channelSum += size;
      ratioSum += ratio;
      ratios[channel] = ratio + (size / bandMean - ratio) * RATIO_RATE;
      bandMean += (size - bandMean) * BAND_RATES[bandCount]!;
      if (bandCount < MAX_BAND_MEMORY) bandCount++;
    }
    isAnyKnown[lineNumber] = hasKnown;
    bandMeans[band] = bandMean;
    this.#bandCounts[band] = bandCount;
    return hasOther;
  }
}

/** Weights of a scale's inputs, by channel: later channels have more predecessors to learn from. */
class ScaleWeights {
  readonly #sets: readonly { trusts: Float64Array; perWeight: Float64Array }[];

  constructor(channels: number) {
    const trusts = Float64Array.from(
      { length: channels },
      (_, channel) => (WEIGHT_OF_CHANNELS * channel) / (channel + 2),
    );
    this.#sets = [0, WEIGHT_OF_LOWER].flatMap((lower) =>
      [0, WEIGHT_OF_BLOCK].map((block) => ({
        trusts,
        perWeight: trusts.map((trust) => 1 / (WEIGHT_OF_BAND + trust + lower + block)),
      })),
    );
  }

  of(hasLower: boolean, hasBlock: boolean): { trusts: Float64Array; perWeight: Float64Array } {
    return this.#sets[(hasLower ? 2 : 0) + (hasBlock ? 1 : 0)]!;
  }
}

/** Whether any channel lies beyond the three cells of the dead zone. */
function isBeyondDeadZone(
  coefficients: Float32Array,
  offsets: Float32Array,
  first: number,
  channels: number,
  shift: number,
): boolean {
  const width = 2 ** shift;
  for (let at = first; at < first + channels; at++) {
    const coefficient = coefficients[at]!;
    // Less than a cell from 0 is at most one cell from the zero cell, whatever the offset.
    if (coefficient < width && coefficient > -width) continue;
    const offset = offsets[at]!;
    const distance = (Math.floor(coefficient - offset) >> shift) - (-Math.ceil(offset) >> shift);
    if (distance > 1 || distance < -1) return true;
  }
  return false;
}

/**
 * Codes the signed distance from the zero cell, in cells.
 *
 * @param least minimum distance
 * @param negative probability of the negative side, of 65536
 */
function codeDistance(
  bits: ExpectedBits,
  wanted: number,
  least: number,
  negative: number,
  width: number,
  scale: number,
): number {
  const isNegative = bits.code(wanted < 0 ? 1 : 0, IS_NEGATIVE, negative);
  const more = (tailBeyond(width / scale) * ONE) | 0;
  const size = codeSize(bits, wanted < 0 ? -wanted : wanted, least, more);
  return isNegative === 1 ? -size : size;
}

/**
 * Codes a number of cells of at least `least`.
 *
 * @param more probability of one more, of 65536
 */
function codeSize(bits: ExpectedBits, wanted: number, least: number, more: number): number {
  const limit = least + UNARY_LIMIT;
  let size = least;
  while (size < limit) {
    const kind = size === least ? IS_MORE : IS_MUCH_MORE;
    if (bits.code(wanted > size ? 1 : 0, kind, more) === 0) return size;
    size++;
  }
  const rest = wanted - size + 1;
  let length = 0;
  while (
    length < MAX_REST &&
    bits.code(rest >= 2 ** (length + 1) ? 1 : 0, IS_LONG, ONE / 2) === 1
  ) {
    length++;
  }
  let value = 1;
  for (let position = length - 1; position >= 0; position--) {
    value = value * 2 + bits.code((rest >> position) & 1, REST, ONE / 2);
  }
  return size + value - 1;
}
