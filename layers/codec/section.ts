import type { LatentExtents } from '#core/compose.ts';
import { LatentFormatError } from '#core/errors.ts';
import { CoefficientCoder } from './coefficient-coder.ts';
import { RangeDecoder, RangeEncoder } from './range-coder.ts';
import { findMotion, followTracks, MOTION_CHOICES, type Tracks } from './tracks.ts';
import { restoreTracks, transformTracks } from './transform.ts';
import { decompressZstd, zstd } from './zstd.ts';

/** How the symbols become bytes; the number is what the file holds. */
export const ENTROPY_CODES = { range: 0, zstd: 1 } as const;

/** `range` is smaller; `zstd` is there to measure it against. */
export type EntropyCoding = keyof typeof ENTROPY_CODES;

/**
 * Coefficients below this many steps become 0. The mean of a track is seen in every frame; change
 * this small is noise that costs bits and is gone after resuming.
 */
export const DEAD_ZONE_STEPS = { mean: 0.6, change: 0.8, loneChange: 1 } as const;

/**
 * Measured on symbols of one latent: level 19 saves 1 % more and takes four times as long; a raw
 * dictionary of other latents' symbols saves half a per cent, so there is none.
 */
const ZSTD_LEVEL = 12;

const PREDICT_NOTHING = 0;
const PREDICT_MEAN_OF_NEIGHBOURS = 1;
const PREDICT_GRADIENT = 2;
const PREDICTORS = [PREDICT_NOTHING, PREDICT_MEAN_OF_NEIGHBOURS, PREDICT_GRADIENT] as const;

/** What both sides know of a section. */
export interface SectionCoding {
  extents: LatentExtents;
  /** `[T, H, W]`: 1 where the section has values. */
  inside: Uint8Array;
  /** Quantisation step of each channel; 0 for a channel that is 0 everywhere. */
  steps: Float32Array;
  bits: number;
  entropy: EntropyCoding;
}

/** A symbol goes in when encoding and comes out when decoding. */
interface SymbolCoder {
  code(
    symbol: number,
    channel: number,
    frequency: number,
    track: number,
    symbols: Int16Array,
    tilt: number,
  ): number;
  /** 1 when the track changes over time in this channel; `changes` is `[count + 1]` for the channel. */
  codeChange(bit: number, channel: number, track: number, changes: Uint8Array): number;
}

/**
 * Codes the values of a section: how it moves (T bytes), how each channel's means are predicted
 * from their neighbours (C bytes), then the symbols of the tracks' coefficients. Prediction is from
 * what the decoder has reconstructed, so errors do not add up.
 *
 * @param latent `[C, T, H, W]`
 */
export function encodeSection(latent: Float32Array, coding: SectionCoding): Uint8Array {
  const { extents, inside, steps, bits, entropy } = coding;
  const motion = findMotion(latent, inside, extents);
  const tracks = followTracks(inside, extents, motion);
  if (tracks.count === 0) return new Uint8Array(0);
  const positions = inside.length;
  const coefficients = Array.from(steps, (_, channel) =>
    transformTracks(
      latent.subarray(channel * positions, (channel + 1) * positions),
      tracks,
      extents.frames,
    ),
  );
  const predictors = Uint8Array.from(steps, (step, channel) =>
    cheapestPredictor(coefficients[channel]!, step, tracks),
  );
  if (entropy === 'zstd') {
    const symbols: number[] = [];
    const collect = (symbol: number): number => symbols[symbols.push(symbol) - 1]!;
    const collector = { code: collect, codeChange: collect };
    codeSymbols(collector, tracks, coding, predictors, coefficients);
    return concatenate(motion, predictors, zstd.compress(packSymbols(symbols), ZSTD_LEVEL));
  }
  const encoder = new RangeEncoder();
  const coder = new CoefficientCoder(encoder, tracks, extents.channels, bits);
  codeSymbols(coder, tracks, coding, predictors, coefficients);
  return concatenate(motion, predictors, encoder.finish());
}

/**
 * The section's values in a latent that is 0 elsewhere, `[C, T, H, W]`.
 *
 * @throws LatentFormatError when the bytes cannot be a section.
 */
export function decodeSection(bytes: Uint8Array, coding: SectionCoding): Float32Array {
  const { extents, inside, steps, bits } = coding;
  const { channels, frames } = extents;
  const latent = new Float32Array(channels * inside.length);
  if (!inside.includes(1)) return latent;
  const motion = bytes.subarray(0, frames);
  const predictors = bytes.subarray(frames, frames + channels);
  if (
    bytes.length < frames + channels ||
    motion.some((choice) => choice >= MOTION_CHOICES) ||
    predictors.some((predictor) => predictor >= PREDICTORS.length)
  ) {
    throw new LatentFormatError('latent_corrupt', 'a section of the latent has no valid beginning');
  }
  const tracks = followTracks(inside, extents, motion);
  const payload = bytes.subarray(frames + channels);
  const coder =
    coding.entropy === 'range'
      ? new CoefficientCoder(new RangeDecoder(payload), tracks, channels, bits)
      : symbolReader(unpackSymbols(decompress(payload, mostPackedBytes(latent.length))));
  const coefficients = codeSymbols(coder, tracks, coding, predictors, null);
  for (let channel = 0; channel < channels; channel++) {
    if (steps[channel] === 0) continue;
    const values = latent.subarray(channel * inside.length, (channel + 1) * inside.length);
    restoreTracks(coefficients[channel]!, tracks, values);
  }
  return latent;
}

/** Encodes when there are coefficients, decodes when there are none; returns what a decoder sees. */
function codeSymbols(
  coder: SymbolCoder,
  tracks: Tracks,
  { extents, steps }: SectionCoding,
  predictors: Uint8Array,
  coefficients: readonly Float32Array[] | null,
): Float32Array[] {
  const { frames } = extents;
  const stride = tracks.count + 1;
  const symbols = Array.from(steps, () => new Int16Array(frames * stride));
  const values = Array.from(steps, () => new Float32Array(frames * stride));
  const changes = Array.from(steps, () => new Uint8Array(stride));
  for (let frequency = 0; frequency < frames; frequency++) {
    if (frequency === 1) codeChanges(coder, tracks, steps, coefficients, changes);
    for (const [channel, step] of steps.entries()) {
      if (step === 0) continue;
      const channelValues = values[channel]!;
      const channelSymbols = symbols[channel]!;
      const channelCoefficients = coefficients?.[channel] ?? null;
      const channelChanges = changes[channel]!;
      const predictor = frequency === 0 ? predictors[channel]! : PREDICT_NOTHING;
      for (let track = 0; track < tracks.count; track++) {
        if (frequency > 0 && channelChanges[track] === 0) continue;
        if (tracks.lengths[track]! <= frequency) continue;
        const at = frequency * stride + track;
        const beside = predict(PREDICT_MEAN_OF_NEIGHBOURS, tracks, channelValues, frequency, track);
        const predicted =
          predictor === PREDICT_MEAN_OF_NEIGHBOURS
            ? beside
            : predict(predictor, tracks, channelValues, frequency, track);
        const wanted =
          channelCoefficients === null
            ? 0
            : quantise((channelCoefficients[at]! - predicted) / step, frequency);
        const tilt = (beside - predicted) / step;
        const symbol = coder.code(wanted, channel, frequency, track, channelSymbols, tilt);
        channelSymbols[at] = symbol;
        channelValues[at] = predicted + symbol * step;
      }
    }
  }
  return values;
}

/** Most tracks do not change: one bit then stands for all their frequencies above 0. */
function codeChanges(
  coder: SymbolCoder,
  { count, lengths }: Tracks,
  steps: Float32Array,
  coefficients: readonly Float32Array[] | null,
  changes: readonly Uint8Array[],
): void {
  const stride = count + 1;
  for (const [channel, step] of steps.entries()) {
    if (step === 0) continue;
    const channelChanges = changes[channel]!;
    const channelCoefficients = coefficients?.[channel] ?? null;
    for (let track = 0; track < count; track++) {
      const length = lengths[track]!;
      if (length < 2) continue;
      const changed =
        channelCoefficients !== null &&
        isWorthCoding(channelCoefficients, track, stride, length, step);
      channelChanges[track] = coder.codeChange(changed ? 1 : 0, channel, track, channelChanges);
    }
  }
}

/** Whether the change of a track has a coefficient beyond the dead zone, or a lone one well beyond. */
function isWorthCoding(
  coefficients: Float32Array,
  track: number,
  stride: number,
  length: number,
  step: number,
): boolean {
  let count = 0;
  let largest = 0;
  for (let frequency = 1; frequency < length; frequency++) {
    const size = Math.abs(coefficients[frequency * stride + track]!) / step;
    if (size >= DEAD_ZONE_STEPS.change) count++;
    if (size > largest) largest = size;
  }
  return count > 1 || largest >= DEAD_ZONE_STEPS.loneChange;
}

/**
 * A coefficient guessed from those of the tracks beside it. Tracks differ in length, so means are
 * compared, not coefficients.
 */
function predict(
  predictor: number,
  tracks: Tracks,
  values: Float32Array,
  frequency: number,
  track: number,
): number {
  if (predictor === PREDICT_NOTHING) return 0;
  const { lengths } = tracks;
  const row = frequency * (tracks.count + 1);
  const west = tracks.west[track]!;
  const north = tracks.north[track]!;
  const length = lengths[track]!;
  const hasWest = lengths[west]! > frequency;
  const hasNorth = lengths[north]! > frequency;
  const westValue = hasWest ? values[row + west]! * Math.sqrt(length / lengths[west]!) : 0;
  const northValue = hasNorth ? values[row + north]! * Math.sqrt(length / lengths[north]!) : 0;
  if (!hasWest) return northValue;
  if (!hasNorth) return westValue;
  const northWest = tracks.northWest[track]!;
  if (predictor === PREDICT_MEAN_OF_NEIGHBOURS || lengths[northWest]! <= frequency) {
    return (westValue + northValue) / 2;
  }
  const corner = values[row + northWest]! * Math.sqrt(length / lengths[northWest]!);
  return 0.75 * (westValue + northValue) - 0.5 * corner;
}

function quantise(coefficientSteps: number, frequency: number): number {
  const size = Math.abs(coefficientSteps);
  if (size < (frequency === 0 ? DEAD_ZONE_STEPS.mean : DEAD_ZONE_STEPS.change)) return 0;
  const symbol = Math.max(1, Math.round(size));
  return coefficientSteps < 0 ? -symbol : symbol;
}

/** Tries every predictor in the closed loop and takes the one whose symbols carry the fewest bits. */
function cheapestPredictor(coefficients: Float32Array, step: number, tracks: Tracks): number {
  if (step === 0) return PREDICT_NOTHING;
  const values = new Float32Array(tracks.count + 1);
  let cheapest: number = PREDICT_NOTHING;
  let fewestBits = Infinity;
  for (const predictor of PREDICTORS) {
    const counts = new Map<number, number>();
    for (let track = 0; track < tracks.count; track++) {
      const predicted = predict(predictor, tracks, values, 0, track);
      const symbol = quantise((coefficients[track]! - predicted) / step, 0);
      values[track] = predicted + symbol * step;
      counts.set(symbol, (counts.get(symbol) ?? 0) + 1);
    }
    const bits = entropyBits(counts, tracks.count);
    if (bits < fewestBits) {
      fewestBits = bits;
      cheapest = predictor;
    }
  }
  return cheapest;
}

function entropyBits(counts: Map<number, number>, total: number): number {
  let bits = 0;
  for (const count of counts.values()) bits += count * Math.log2(total / count);
  return bits;
}

function symbolReader(symbols: Int8Array | Int16Array): SymbolCoder {
  let next = 0;
  const read = (): number => {
    const symbol = symbols[next++];
    if (symbol !== undefined) return symbol;
    throw new LatentFormatError('latent_corrupt', 'a section of the latent has too few symbols');
  };
  return { code: read, codeChange: read };
}

/** What `packSymbols` makes at most: two bytes for each value, and for each value's change. */
function mostPackedBytes(values: number): number {
  return 1 + 2 * (values + values);
}

function decompress(frame: Uint8Array, mostBytes: number): Uint8Array {
  try {
    return decompressZstd(frame, mostBytes);
  } catch (cause) {
    throw new LatentFormatError(
      'latent_corrupt',
      `a section of the latent is no zstd frame of at most ${mostBytes} bytes`,
      { cause },
    );
  }
}

/** One byte a symbol while they fit, two otherwise; the first byte says which. */
function packSymbols(symbols: readonly number[]): Uint8Array {
  const isNarrow = symbols.every((symbol) => symbol >= -128 && symbol <= 127);
  const packed = isNarrow ? Int8Array.from(symbols) : Int16Array.from(symbols);
  return concatenate(Uint8Array.of(isNarrow ? 1 : 2), new Uint8Array(packed.buffer));
}

function unpackSymbols(packed: Uint8Array): Int8Array | Int16Array {
  const body = Uint8Array.from(packed.subarray(1));
  if (packed[0] === 1) return new Int8Array(body.buffer);
  if (packed[0] === 2 && body.length % 2 === 0) return new Int16Array(body.buffer);
  throw new LatentFormatError('latent_corrupt', 'a section of the latent has no symbol width');
}

function concatenate(...pieces: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(pieces));
}
