import { AdaptiveBits, BitMixer } from './bit-mixer.ts';
import type { BitCoder } from './range-coder.ts';
import type { Tracks } from './tracks.ts';

const LEARNING_RATE = 5e-10;

/** Magnitudes are coded in unary up to here, then as an Exp-Golomb number. */
const UNARY_LIMIT = 12;
const KIND_ZERO = 0;
const KIND_SIGN = 1;
const KIND_MAGNITUDE = 2;
const KINDS = KIND_MAGNITUDE + UNARY_LIMIT;
const ESCAPE_LENGTHS = 24;
/** Finer quantisation makes larger symbols, whose lowest bits are noise and are coded plainly. */
const PLAIN_BITS: Readonly<Record<number, number>> = { 8: 3, 6: 1 };

/** Frequencies from here on share contexts. */
const FREQUENCY_CLASSES = 8;
const ACTIVITY_LEVELS = 9;
const TILT_LEVELS = 11;

/**
 * Codes the symbols of a section: is it 0, its sign, its magnitude, each predicted from the symbols
 * around it: beside it, at the frequency below, and in the channels before.
 *
 * One instance encodes or decodes one section, frequency by frequency, channel by channel, track by
 * track.
 */
export class CoefficientCoder {
  readonly #coder: BitCoder;
  readonly #tracks: Tracks;
  readonly #mixer: BitMixer;
  readonly #plain: AdaptiveBits;
  readonly #escape = new AdaptiveBits(2 * ESCAPE_LENGTHS);
  readonly #plainBits: number;
  readonly #contexts: Int32Array;
  readonly #signContexts: Int32Array;
  /** Of the channels coded so far at this frequency: sum of magnitudes, and the last two symbols. */
  readonly #activity: Uint8Array;
  readonly #lastChannel: Int8Array;
  readonly #channelBefore: Int8Array;
  readonly #changeMixer: BitMixer;
  readonly #changeContexts: Int32Array;
  /** In how many channels each track changes, and whether it did in the last two. */
  readonly #changingChannels: Uint8Array;
  readonly #lastChanges: Uint8Array;
  #frequency = 0;

  constructor(coder: BitCoder, tracks: Tracks, channels: number, bits: number) {
    this.#coder = coder;
    this.#tracks = tracks;
    this.#mixer = new BitMixer(
      [
        channels * FREQUENCY_CLASSES * 4 * KINDS,
        3 * 3 * 3 * 3 * 2 * KINDS,
        ACTIVITY_LEVELS * 3 * 3 * 2 * KINDS,
        FREQUENCY_CLASSES * ACTIVITY_LEVELS * 4 * KINDS,
        channels * 9 * 2 * KINDS,
        TILT_LEVELS * 3 * FREQUENCY_CLASSES * KINDS,
      ],
      2 * KINDS,
      LEARNING_RATE,
    );
    this.#contexts = new Int32Array(this.#mixer.inputs);
    this.#signContexts = new Int32Array(this.#mixer.inputs);
    this.#changeMixer = new BitMixer(
      [channels * 9, 16 * 4, (channels + 1) * 4 * 3, channels * 4 * 2],
      channels,
      LEARNING_RATE,
    );
    this.#changeContexts = new Int32Array(this.#changeMixer.inputs);
    this.#changingChannels = new Uint8Array(tracks.count + 1);
    this.#lastChanges = new Uint8Array(tracks.count + 1);
    this.#plainBits = PLAIN_BITS[bits] ?? 0;
    this.#plain = new AdaptiveBits(2 ** this.#plainBits);
    this.#activity = new Uint8Array(tracks.count + 1);
    this.#lastChannel = new Int8Array(tracks.count + 1);
    this.#channelBefore = new Int8Array(tracks.count + 1);
  }

  /**
   * @param symbol what to encode; ignored when decoding
   * @param symbols the channel's symbols coded so far, `[T, count + 1]`
   * @param tilt by how many steps the neighbours differ from the prediction
   * @returns the symbol
   */
  code(
    symbol: number,
    channel: number,
    frequency: number,
    track: number,
    symbols: Int16Array,
    tilt: number,
  ): number {
    if (frequency !== this.#frequency) {
      this.#frequency = frequency;
      this.#activity.fill(0);
      this.#lastChannel.fill(0);
      this.#channelBefore.fill(0);
    }
    const { count, west, north, northWest, northEast, lengths } = this.#tracks;
    const plainBits = this.#plainBits;
    const row = frequency * (count + 1);
    const isMean = frequency === 0 ? 1 : 0;
    const westTrack = west[track]!;
    const northTrack = north[track]!;
    const w = symbols[row + westTrack]! >> plainBits;
    const n = symbols[row + northTrack]! >> plainBits;
    const nw = symbols[row + northWest[track]!]! >> plainBits;
    const ne = symbols[row + northEast[track]!]! >> plainBits;
    const below = frequency < 2 ? 0 : symbols[row - count - 1 + track]! >> plainBits;
    const changing = Math.min(ACTIVITY_LEVELS - 1, this.#changingChannels[track]! >> 1);
    const last = this.#lastChannel[track]!;
    const lastButOne = this.#channelBefore[track]!;
    const wSize = Math.abs(w);
    const nSize = Math.abs(n);
    const near = Math.min(wSize + nSize, 3);
    const near2 = Math.min(near, 2);
    const belowSize = Math.min(Math.abs(below), 2);
    const activity = activityLevel(this.#activity[track]!, channel);
    const frequencyClass = Math.min(frequency, FREQUENCY_CLASSES - 1);
    const tiltLevel = Math.max(-5, Math.min(5, Math.round(tilt * 2))) + 5;
    const shortness = Math.min(3, lengths[track]! >> 1);

    const first = this.#mixer.firstContexts;
    const contexts = this.#contexts;
    contexts[0] = first[0]! + ((channel * FREQUENCY_CLASSES + frequencyClass) * 4 + near) * KINDS;
    contexts[1] =
      first[1]! +
      ((((Math.min(wSize, 2) * 3 + Math.min(nSize, 2)) * 3 +
        Math.min(Math.abs(nw) + Math.abs(ne), 2)) *
        3 +
        belowSize) *
        2 +
        isMean) *
        KINDS;
    contexts[2] = first[2]! + (((activity * 3 + belowSize) * 3 + near2) * 2 + isMean) * KINDS;
    contexts[3] =
      first[3]! + ((frequencyClass * ACTIVITY_LEVELS + changing) * 4 + shortness) * KINDS;
    contexts[4] =
      first[4]! +
      ((channel * 9 + Math.min(Math.abs(last), 2) * 3 + Math.min(Math.abs(lastButOne), 2)) * 2 +
        isMean) *
        KINDS;
    contexts[5] =
      first[5]! +
      ((Math.abs(tiltLevel - 5) * 3 + near2) * FREQUENCY_CLASSES + frequencyClass) * KINDS;

    const signs = this.#signContexts;
    const wSign = Math.sign(w) + 1;
    const nSign = Math.sign(n) + 1;
    const lastSign = Math.sign(last) + 1;
    signs[0] = first[0]! + (channel * FREQUENCY_CLASSES + frequencyClass) * 4 * KINDS;
    signs[1] =
      first[1]! + ((wSign * 3 + nSign) * 9 + 3 * (Math.sign(nw) + 1)) * 2 * KINDS + isMean * KINDS;
    signs[2] = first[2]! + ((wSign * 3 + nSign) * 2 + isMean) * KINDS;
    signs[3] = first[3]! + (frequencyClass * ACTIVITY_LEVELS + Math.sign(below) + 1) * 4 * KINDS;
    signs[4] =
      first[4]! + ((channel * 9 + lastSign * 3 + Math.sign(lastButOne) + 1) * 2 + isMean) * KINDS;
    signs[5] = first[5]! + (tiltLevel * 3 * FREQUENCY_CLASSES + frequencyClass) * KINDS;

    const coded = this.#codeSymbol(symbol, isMean);
    const reduced = coded >> plainBits;
    if (reduced !== 0) {
      this.#activity[track] = Math.min(
        255,
        this.#activity[track]! + Math.min(Math.abs(reduced), 3),
      );
    }
    this.#channelBefore[track] = last;
    this.#lastChannel[track] = Math.max(-3, Math.min(3, reduced));
    return coded;
  }

  /**
   * @param bit whether the track changes in this channel; ignored when decoding
   * @param changes of the channel so far, `[count + 1]`
   */
  codeChange(bit: number, channel: number, track: number, changes: Uint8Array): number {
    const { west, north, northWest, northEast, lengths } = this.#tracks;
    const w = changes[west[track]!]!;
    const n = changes[north[track]!]!;
    const nw = changes[northWest[track]!]!;
    const ne = changes[northEast[track]!]!;
    const shortness = Math.min(3, lengths[track]! >> 1);
    const lastChanges = this.#lastChanges[track]!;
    const near = w + n + nw + ne;
    const first = this.#changeMixer.firstContexts;
    const contexts = this.#changeContexts;
    const around = this.#changingChannels[west[track]!]! + this.#changingChannels[north[track]!]!;
    contexts[0] = first[0]! + channel * 9 + 2 * near;
    contexts[1] = first[1]! + ((w << 3) | (n << 2) | (nw << 1) | ne) * 4 + lastChanges;
    contexts[2] =
      first[2]! + (this.#changingChannels[track]! * 4 + shortness) * 3 + Math.min(w + n, 2);
    contexts[3] = first[3]! + (channel * 4 + lastChanges) * 2 + (around > channel ? 1 : 0);
    const coded = this.#changeMixer.code(this.#coder, bit, contexts, 0, channel);
    this.#changingChannels[track]! += coded;
    this.#lastChanges[track] = ((lastChanges << 1) | coded) & 3;
    return coded;
  }

  #codeSymbol(symbol: number, isMean: number): number {
    const plainBits = this.#plainBits;
    const coarse = symbol >> plainBits;
    if (this.#codeKind(KIND_ZERO, coarse === 0 ? 1 : 0, isMean, this.#contexts) === 1) {
      return plainBits === 0 ? 0 : this.#codePlainBits(symbol, 0);
    }
    const isNegative = this.#codeKind(KIND_SIGN, coarse < 0 ? 1 : 0, isMean, this.#signContexts);
    const size = Math.abs(coarse);
    let magnitude = 1;
    while (magnitude <= UNARY_LIMIT) {
      const kind = KIND_MAGNITUDE + magnitude - 1;
      if (this.#codeKind(kind, size > magnitude ? 1 : 0, isMean, this.#contexts) === 0) break;
      magnitude++;
    }
    if (magnitude > UNARY_LIMIT) magnitude += this.#codeExpGolomb(size - magnitude);
    return this.#codePlainBits(symbol, isNegative === 1 ? -magnitude : magnitude);
  }

  #codeKind(kind: number, bit: number, isMean: number, contexts: Int32Array): number {
    return this.#mixer.code(this.#coder, bit, contexts, kind, kind * 2 + isMean);
  }

  #codePlainBits(symbol: number, coarse: number): number {
    let value = coarse;
    let node = 1;
    for (let position = this.#plainBits - 1; position >= 0; position--) {
      const bit = this.#plain.code(this.#coder, (symbol >> position) & 1, node);
      node = node * 2 + bit;
      value = value * 2 + bit;
    }
    return value;
  }

  #codeExpGolomb(rest: number): number {
    let length = 0;
    while (
      length < ESCAPE_LENGTHS - 1 &&
      this.#escape.code(this.#coder, rest + 1 >= 2 ** (length + 1) ? 1 : 0, length) === 1
    ) {
      length++;
    }
    let value = 1;
    for (let position = length - 1; position >= 0; position--) {
      const bit = ((rest + 1) >> position) & 1;
      value = value * 2 + this.#escape.code(this.#coder, bit, ESCAPE_LENGTHS + position);
    }
    return value - 1;
  }
}

/** Mean magnitude over the channels so far; the last level means that there are none. */
function activityLevel(sum: number, channel: number): number {
  if (channel === 0) return ACTIVITY_LEVELS - 1;
  return Math.min(ACTIVITY_LEVELS - 2, Math.round((sum * 6) / channel));
}
