import type { BlockLayout } from './blocks.ts';
import { ChannelBasis, type BasisPair } from './channel-basis.ts';
import { meanWithin } from './laplace.ts';
import { LAYER_HALVINGS } from './layers.ts';
import { FINEST_HALVINGS, IN_DEAD_ZONE, LineCoder, type KnownCoefficients } from './line-coder.ts';
import type { BitCoder } from './range-coder.ts';

/** Frequencies at which the channel basis is recomputed; before the first there is none. */
const BASIS_FREQUENCIES = [6, 16, 40, 100, 250, 700, 2000, 6000] as const;

/**
 * The coefficients of one latent while its layers are coded. Each coefficient lies in a cell of a
 * grid with a random offset (subtractive dither): the error of the cell's midpoint is uniform and
 * independent of the coefficient (Schuchman, 1964). Each layer halves the cells of the previous
 * one.
 *
 * Encoder and decoder keep the same state. Everything that affects bits uses only `+ - * /` and
 * `sqrt` on doubles or floats, which IEEE 754 rounds deterministically: a file decodes on every
 * machine.
 */
export class LayeredCoefficients {
  readonly #layout: BlockLayout;
  /** Cell width of the last layer, the unit of everything below. */
  readonly #finest: number;
  readonly #known: KnownCoefficients;
  /** Channel basis from each of `BASIS_FREQUENCIES` on. */
  readonly #bases: BasisPair[] = [];
  #layersCoded = 0;

  /**
   * @param offsets dither of each coefficient, 0..1 of a cell, known to both sides. Takes
   * ownership.
   */
  constructor(layout: BlockLayout, firstCell: number, offsets: Float32Array) {
    const { count, blocks, frequencies, longestTime, longestRow, longestColumn } = layout;
    this.#layout = layout;
    this.#finest = firstCell / 2 ** FINEST_HALVINGS;
    for (let at = 0; at < offsets.length; at++) offsets[at]! *= 2 ** FINEST_HALVINGS;
    this.#known = {
      offsets,
      cells: new Int32Array(count).fill(IN_DEAD_ZONE),
      isAnyKnown: new Uint8Array(frequencies * blocks),
      sizes: new Float32Array(count + blocks * layout.extents.channels),
      scales: new Float32Array(count),
      bandMeans: new Float64Array(layout.bandCount),
    };
    // Prior size of the first band, that of the means.
    this.#known.bandMeans[0] =
      (0.4 * Math.sqrt(longestTime * longestRow * longestColumn)) / this.#finest;
  }

  /**
   * Codes the next layer: encodes with coefficients, decodes without.
   *
   * @param coefficients in layout order, the same array for every layer: the first layer transforms
   * its channels to components in place
   */
  codeLayer(coder: BitCoder, coefficients: Float32Array | null): void {
    const layer = this.#layersCoded++;
    const isFirst = layer === 0;
    const { blocks, frequencies, time, row, column, blockTimes, blockRows, blockColumns, extents } =
      this.#layout;
    const finder = new ChannelBasis(extents.channels);
    const lines = new LineCoder(coder, this.#layout, layer, this.#known, coefficients);
    let epoch = -1;
    let basis: BasisPair | null = null;
    for (let frequency = 0; frequency < frequencies; frequency++) {
      if (finder.isUsed && frequency === BASIS_FREQUENCIES[epoch + 1]) {
        epoch++;
        if (isFirst) this.#bases.push(finder.find());
        basis = this.#bases[epoch]!;
        lines.restartRatios();
      }
      const isLearning =
        isFirst && frequency > 0 && finder.isUsed && epoch + 1 < BASIS_FREQUENCIES.length;
      if (isFirst && coefficients !== null) this.#prepare(coefficients, frequency, basis);
      lines.enterFrequency(frequency);
      for (let block = 0; block < blocks; block++) {
        if (
          time[frequency]! >= blockTimes[block]! ||
          row[frequency]! >= blockRows[block]! ||
          column[frequency]! >= blockColumns[block]!
        ) {
          continue;
        }
        const hasOther = lines.codeLine(frequency * blocks + block, block);
        if (isLearning && hasOther) {
          basis?.leave(lines.centres, 0);
          finder.add(lines.centres);
        }
      }
    }
  }

  /** Transforms the coefficients of a frequency to components, in cells of the last layer. */
  #prepare(coefficients: Float32Array, frequency: number, basis: BasisPair | null): void {
    const { blocks, extents } = this.#layout;
    const { channels } = extents;
    const perUnit = 1 / this.#finest;
    const first = frequency * blocks * channels;
    const end = first + blocks * channels;
    for (let at = first; at < end; at++) coefficients[at]! *= perUnit;
    if (basis === null) return;
    for (let at = first; at < end; at += channels) basis.enter(coefficients, at);
  }

  /**
   * Reconstructs the channel coefficients from the layers coded so far.
   *
   * @param fill uniform numbers 0..1, one per coefficient: every error is then uniform over a cell
   * and independent of the coefficient, i.e. noise of known variance; dead-zone coefficients are
   * pure noise. With null, the error is minimal and coefficients shrink.
   */
  reconstruct(fill: Float32Array | null): Float32Array {
    const { offsets, cells, scales } = this.#known;
    const finest = this.#finest;
    const width = 2 ** (FINEST_HALVINGS - LAYER_HALVINGS[this.#layersCoded - 1]!);
    const values = new Float32Array(cells.length);
    for (let at = 0; at < values.length; at++) {
      const cell = cells[at]!;
      if (cell === IN_DEAD_ZONE) {
        if (fill !== null) values[at] = (fill[at]! - 0.5) * width * finest;
        continue;
      }
      const low = offsets[at]! + cell * width;
      const value = fill !== null ? low + width / 2 : meanWithin(low, low + width, scales[at]!);
      values[at] = value * finest;
    }
    this.#leaveBases(values);
    return values;
  }

  /** Transforms components back to channels, in place. */
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
