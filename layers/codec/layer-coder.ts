import type { BlockLayout } from './blocks.ts';
import { ChannelBasis, type BasisPair } from './channel-basis.ts';
import { ExpectedBits } from './expected-bits.ts';
import { meanWithin, probabilityBelow, tailBeyond } from './laplace.ts';
import { DEAD_ZONE_SHARES, LAYER_HALVINGS, LAYERS } from './layers.ts';
import type { BitCoder } from './range-coder.ts';

const FINEST_HALVINGS = LAYER_HALVINGS[LAYERS - 1]!;

/** The frequencies at which the basis of the channels is found anew; before the first there is none. */
const BASIS_FREQUENCIES = [6, 16, 40, 100, 250, 700, 2000, 6000] as const;

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

/** Cells from zero are counted in unary up to so many more than the fewest, then as an Exp-Golomb number. */
const UNARY_LIMIT = 20;
const LONGEST_REST = 28;

/** What the expected scale is averaged from, beside each other: weights. */
const WEIGHT_OF_BAND = 0.35;
const WEIGHT_OF_CHANNELS = 0.35;
const WEIGHT_OF_LOWER = 0.3;
const WEIGHT_OF_BLOCK = 0.3;
/** Sizes fall with the frequency. */
const FALL = 0.6;
const SMALLEST_SCALE_SHARE = 1e-3;
/** A size that lies in the dead zone or in the cell of zero is taken for this share of its scale. */
const SIZE_OF_SMALL = 0.9;
const LARGEST_SMALL_SHARE = 0.2;
const RATIO_RATE = 0.06;
/** A band's mean is of so many coefficients. */
const LONGEST_BAND_MEMORY = 200;
const BAND_RATES = Float64Array.from({ length: LONGEST_BAND_MEMORY + 1 }, (_, n) => 1 / (n + 2));
/** Where the channels of a coefficient are expected far inside the dead zone, one bit says it of all of them. */
const QUIET_SHARE = 0.25;

/**
 * The coefficients of one latent while its layers are coded. Each coefficient lies in a cell of a grid that
 * begins at a random offset (subtractive dither): the middle of the cell is off by an error that is uniform
 * and does not depend on the coefficient (Schuchman, 1964). A layer halves the cells of the one before.
 *
 * Encoder and decoder keep the same state. Whatever decides over bits is computed with `+ - * /` and `sqrt`
 * of doubles or floats, which IEEE 754 rounds one way: a file decodes on every machine.
 */
export class LayeredCoefficients {
  readonly #layout: BlockLayout;
  /** Width of the cells of the last layer, which is the unit of everything below. */
  readonly #finest: number;
  /** Of each coefficient: where the grid begins, 0 to one cell of the first layer. */
  readonly #offsets: Float32Array;
  /** Of each coefficient: the number of its cell, in cells of the layer coded last. */
  readonly #cells: Int32Array;
  /** 1 where the cell is known; elsewhere the coefficient is in the dead zone. */
  readonly #isKnown: Uint8Array;
  /** Of all channels of a frequency in a block together: 1 where a cell of one of them is known. */
  readonly #isAnyKnown: Uint8Array;
  /** What the magnitude is taken for when others are expected. */
  readonly #sizes: Float32Array;
  /** The scale that was expected when it was coded last. */
  readonly #scales: Float32Array;
  /** Of the channels, from each of `BASIS_FREQUENCIES` on. */
  readonly #bases: BasisPair[] = [];
  readonly #bandMeans: Float64Array;
  #layersCoded = 0;

  /**
   * @param offsets 0..1 of a cell, one a coefficient: the dither, known to both sides. Taken over.
   */
  constructor(layout: BlockLayout, firstCell: number, offsets: Float32Array) {
    this.#layout = layout;
    this.#finest = firstCell / 2 ** FINEST_HALVINGS;
    for (let at = 0; at < offsets.length; at++) offsets[at]! *= 2 ** FINEST_HALVINGS;
    this.#offsets = offsets;
    this.#cells = new Int32Array(layout.count);
    this.#isKnown = new Uint8Array(layout.count);
    this.#isAnyKnown = new Uint8Array(layout.frequencies * layout.blocks);
    this.#sizes = new Float32Array(layout.count);
    this.#scales = new Float32Array(layout.count);
    this.#bandMeans = new Float64Array(layout.bandCount);
  }

  /**
   * Codes the next layer: encodes when there are coefficients, decodes when there are none.
   *
   * @param coefficients in the order of the layout, the same array for every layer: the first one turns its
   * channels into components
   */
  codeLayer(coder: BitCoder, coefficients: Float32Array | null): void {
    const layer = this.#layersCoded++;
    const isFirst = layer === 0;
    const layout = this.#layout;
    const { blocks, frequencies, bands, parents, belowTime, belowRow, belowColumn } = layout;
    const { time, row, column, blockTimes, blockRows, blockColumns } = layout;
    const { channels } = layout.extents;
    const offsets = this.#offsets;
    const cells = this.#cells;
    const isKnown = this.#isKnown;
    const isAnyKnown = this.#isAnyKnown;
    const sizes = this.#sizes;
    const scales = this.#scales;
    const bits = new ExpectedBits(coder, KINDS);
    const shift = FINEST_HALVINGS - LAYER_HALVINGS[layer]!;
    const width = 2 ** shift;
    const halvings = isFirst ? 0 : LAYER_HALVINGS[layer]! - LAYER_HALVINGS[layer - 1]!;
    const deadZoneScale = DEAD_ZONE_SHARES[layer]! * width;
    const quietScale = QUIET_SHARE * deadZoneScale;
    const smallestScale = SMALLEST_SCALE_SHARE * width;
    const largestSmall = LARGEST_SMALL_SHARE * width;
    const bandMeans = this.#bandMeans;
    const bandCounts = new Uint32Array(layout.bandCount);
    const finder = new ChannelBasis(channels);
    const weights = new ScaleWeights(channels);
    const ratios = new Float64Array(channels).fill(1);
    const line = new Float32Array(channels);
    const stride = blocks * channels;
    const perUnit = 1 / this.#finest;
    let epoch = -1;
    let basis: BasisPair | null = null;

    for (let frequency = 0; frequency < frequencies; frequency++) {
      if (finder.isUsed && frequency === BASIS_FREQUENCIES[epoch + 1]) {
        epoch++;
        if (isFirst) this.#bases.push(finder.find());
        basis = this.#bases[epoch]!;
        ratios.fill(1);
      }
      const isLearning = isFirst && finder.isUsed && epoch + 1 < BASIS_FREQUENCIES.length;
      const band = bands[frequency]!;
      if (isFirst && bandCounts[band] === 0) {
        bandMeans[band] = this.#firstMean(band, parents[band]!);
      }
      let bandMean = bandMeans[band]!;
      let bandCount = bandCounts[band]!;
      const lowerTime = belowTime[frequency]! * stride;
      const lowerRow = belowRow[frequency]! * stride;
      const lowerColumn = belowColumn[frequency]! * stride;
      const lowerCount =
        (lowerTime >= 0 ? 1 : 0) + (lowerRow >= 0 ? 1 : 0) + (lowerColumn >= 0 ? 1 : 0);
      const weightOfLower = lowerCount === 0 ? 0 : (WEIGHT_OF_LOWER * FALL) / lowerCount;
      for (let block = 0; block < blocks; block++) {
        if (
          time[frequency]! >= blockTimes[block]! ||
          row[frequency]! >= blockRows[block]! ||
          column[frequency]! >= blockColumns[block]!
        ) {
          continue;
        }
        const inStride = block * channels;
        const lineNumber = frequency * blocks + block;
        const first = lineNumber * channels;
        if (isFirst && coefficients !== null) {
          for (let at = first; at < first + channels; at++) coefficients[at]! *= perUnit;
          basis?.enter(coefficients, first);
        }
        // A mean that overflowed, which only a forged file has, must not spread.
        if (!(bandMean >= smallestScale)) bandMean = smallestScale;
        if (isAnyKnown[lineNumber] === 0 && bandMean < quietScale) {
          const isLoud =
            coefficients !== null &&
            isBeyondDeadZone(coefficients, offsets, first, channels, shift);
          const expected = 2 * channels * tailBeyond(1.5 * width, bandMean);
          if (bits.code(isLoud ? 1 : 0, IS_LOUD, expected > 0.5 ? 0.5 : expected) === 0) {
            for (let channel = 0; channel < channels; channel++) {
              const scale = bandMean * ratios[channel]!;
              scales[first + channel] = scale;
              sizes[first + channel] = SIZE_OF_SMALL * scale;
            }
            continue;
          }
        }
        const hasBlock = block > 0;
        const { trusts, perWeight } = weights.of(lowerCount > 0, hasBlock);
        let channelSum = 0;
        let ratioSum = 0;
        let hasKnown = 0;
        let hasOther = false;
        for (let channel = 0; channel < channels; channel++) {
          const at = first + channel;
          const ratio = ratios[channel]!;
          let sum = WEIGHT_OF_BAND * bandMean * ratio;
          if (channel > 0) sum += (trusts[channel]! * channelSum * ratio) / ratioSum;
          if (lowerCount > 0) {
            const inLower = inStride + channel;
            let lower = 0;
            if (lowerTime >= 0) lower += sizes[lowerTime + inLower]!;
            if (lowerRow >= 0) lower += sizes[lowerRow + inLower]!;
            if (lowerColumn >= 0) lower += sizes[lowerColumn + inLower]!;
            sum += weightOfLower * lower;
          }
          if (hasBlock) sum += WEIGHT_OF_BLOCK * sizes[at - channels]!;
          let scale = sum * perWeight[channel]!;
          if (!isFirst) scale = (scale + sizes[at]!) / 2;
          if (!(scale >= smallestScale)) scale = smallestScale;
          scales[at] = scale;

          const offset = offsets[at]!;
          const zeroCell = -Math.ceil(offset) >> shift;
          const wanted =
            coefficients === null ? 0 : Math.floor(coefficients[at]! - offset) >> shift;
          let cell = zeroCell;
          let isIn = true;
          if (isKnown[at] === 1) {
            cell = cells[at]!;
            let cellWidth = width * 2 ** halvings;
            for (let halving = halvings - 1; halving >= 0; halving--) {
              const low = offset + cell * cellWidth;
              cellWidth /= 2;
              const middle = low + cellWidth;
              const upper = 1 - probabilityBelow(low, middle, middle + cellWidth, scale);
              cell = cell * 2 + bits.code((wanted >> halving) & 1, IS_UPPER_HALF, upper);
            }
          } else {
            const distance = wanted - zeroCell;
            let least = 0;
            let negative = 0.5;
            if (scale < deadZoneScale) {
              const beyond = 2 * tailBeyond(1.5 * width, scale);
              isIn = bits.code(distance > 1 || distance < -1 ? 1 : 0, IS_BEYOND, beyond) === 1;
              if (isIn) least = 2;
            } else {
              const low = offset + zeroCell * width;
              const below = tailBeyond(-low, scale);
              const above = tailBeyond(low + width, scale);
              negative = below / (below + above);
              least = bits.code(distance !== 0 ? 1 : 0, IS_OTHER, (below + above) / 2);
            }
            if (least > 0) {
              const isNegative = bits.code(distance < 0 ? 1 : 0, IS_NEGATIVE, negative);
              const size = codeSize(bits, distance < 0 ? -distance : distance, least, width, scale);
              cell = isNegative === 1 ? zeroCell - size : zeroCell + size;
            }
            if (isIn) isKnown[at] = 1;
          }
          if (isIn) hasKnown = 1;
          let size: number;
          if (cell === zeroCell) {
            size = SIZE_OF_SMALL * scale;
            if (isIn && size > largestSmall) size = largestSmall;
            line[channel] = 0;
          } else {
            const centre = offset + (cell + 0.5) * width;
            size = centre < 0 ? -centre : centre;
            line[channel] = centre;
            hasOther = true;
          }
          cells[at] = cell;
          sizes[at] = size;
          channelSum += size;
          ratioSum += ratio;
          ratios[channel] = ratio + (size / bandMean - ratio) * RATIO_RATE;
          bandMean += (size - bandMean) * BAND_RATES[bandCount]!;
          if (bandCount < LONGEST_BAND_MEMORY) bandCount++;
        }
        isAnyKnown[lineNumber] = hasKnown;
        if (isLearning && hasOther && frequency > 0) {
          basis?.leave(line, 0);
          finder.add(line);
        }
      }
      bandMeans[band] = bandMean;
      bandCounts[band] = bandCount;
    }
  }

  /** What a band's sizes are expected to be before the first of them. */
  #firstMean(band: number, parent: number): number {
    const { longestTime, longestRow, longestColumn, bandTimes } = this.#layout;
    if (parent < 0) {
      return (0.4 * Math.sqrt(longestTime * longestRow * longestColumn)) / this.#finest;
    }
    const isSameTime = bandTimes[band] === bandTimes[parent];
    // The first band has the means of the channels alone, which tell little of the rest.
    return (isSameTime && parent > 0 ? 0.75 : 0.25) * this.#bandMeans[parent]!;
  }

  /**
   * The coefficients of the channels, as the layers coded so far tell them.
   *
   * @param fill uniform numbers 0..1, one a coefficient: with them every error is uniform over a cell and
   * independent of the coefficient, noise of a known variance; what is in the dead zone is noise alone.
   * Null: the error is as small as it can be, and the coefficients with it.
   */
  reconstruct(fill: Float32Array | null): Float32Array {
    const offsets = this.#offsets;
    const cells = this.#cells;
    const isKnown = this.#isKnown;
    const scales = this.#scales;
    const finest = this.#finest;
    const width = 2 ** (FINEST_HALVINGS - LAYER_HALVINGS[this.#layersCoded - 1]!);
    const values = new Float32Array(cells.length);
    for (let at = 0; at < values.length; at++) {
      if (isKnown[at] === 0) {
        if (fill !== null) values[at] = (fill[at]! - 0.5) * width * finest;
        continue;
      }
      const low = offsets[at]! + cells[at]! * width;
      const value = fill !== null ? low + width / 2 : meanWithin(low, low + width, scales[at]!);
      values[at] = value * finest;
    }
    this.#leaveBases(values);
    return values;
  }

  /** From components back to channels, in place. */
  #leaveBases(values: Float32Array): void {
    const { blocks, frequencies, extents } = this.#layout;
    const { channels } = extents;
    for (const [epoch, basis] of this.#bases.entries()) {
      const from = BASIS_FREQUENCIES[epoch]! * blocks;
      const end = Math.min(BASIS_FREQUENCIES[epoch + 1] ?? frequencies, frequencies) * blocks;
      for (let line = from; line < end; line++) {
        basis.leave(values, line * channels);
      }
    }
  }
}

/** What a scale's parts are weighed by, by channel: the more channels came before, the more they tell. */
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

/** Whether one of the channels lies beyond the three cells of the dead zone. */
function isBeyondDeadZone(
  coefficients: Float32Array,
  offsets: Float32Array,
  first: number,
  channels: number,
  shift: number,
): boolean {
  for (let at = first; at < first + channels; at++) {
    const offset = offsets[at]!;
    const distance =
      (Math.floor(coefficients[at]! - offset) >> shift) - (-Math.ceil(offset) >> shift);
    if (distance > 1 || distance < -1) return true;
  }
  return false;
}

/** How many cells from zero: at least `least`. */
function codeSize(
  bits: ExpectedBits,
  wanted: number,
  least: number,
  width: number,
  scale: number,
): number {
  const more = tailBeyond(width, scale);
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
    length < LONGEST_REST &&
    bits.code(rest >= 2 ** (length + 1) ? 1 : 0, IS_LONG, 0.5) === 1
  ) {
    length++;
  }
  let value = 1;
  for (let position = length - 1; position >= 0; position--) {
    value = value * 2 + bits.code((rest >> position) & 1, REST, 0.5);
  }
  return size + value - 1;
}
