/** Probabilities of a 1 are 16-bit: 1..65535 of 65536. */
export const PROBABILITY_BITS = 16;

/**
 * Codes one bit: an encoder writes `bit` and returns it, a decoder ignores `bit` and returns the
 * one it read. Encoding and decoding thus share code and cannot diverge.
 */
export interface BitCoder {
  code(bit: number, probabilityOfOne: number): number;
}

const INITIAL_CAPACITY_BYTES = 4096;

/**
 * Binary range encoder: narrows a 32-bit interval and emits the leading bytes that both ends share.
 * The ends are signed integers, which the engine does not convert to doubles.
 */
export class RangeEncoder implements BitCoder {
  #low = 0;
  #high = -1;
  #bytes = new Uint8Array(INITIAL_CAPACITY_BYTES);
  #length = 0;

  code(bit: number, probabilityOfOne: number): number {
    let low = this.#low;
    let high = this.#high;
    const middle = splitInterval(low, high, probabilityOfOne);
    if (bit === 1) high = middle;
    else low = (middle + 1) | 0;
    while ((low ^ high) >>> 24 === 0) {
      this.#push(high >>> 24);
      low <<= 8;
      high = (high << 8) | 0xff;
    }
    this.#low = low;
    this.#high = high;
    return bit;
  }

  /** Returns the coded bytes. A decoder reads 0 past their end, so trailing zeros are omitted. */
  finish(): Uint8Array {
    // The interval's ends differ in their first byte, so one byte and zeros name a value inside it.
    if (this.#low !== 0) this.#push(Math.ceil((this.#low >>> 0) / 2 ** 24));
    let length = this.#length;
    while (length > 0 && this.#bytes[length - 1] === 0) length--;
    return this.#bytes.slice(0, length);
  }

  #push(byte: number): void {
    if (this.#length === this.#bytes.length) {
      const grown = new Uint8Array(this.#bytes.length * 2);
      grown.set(this.#bytes);
      this.#bytes = grown;
    }
    this.#bytes[this.#length++] = byte;
  }
}

/** Decodes the output of `RangeEncoder`, given the same probabilities. */
export class RangeDecoder implements BitCoder {
  #low = 0;
  #high = -1;
  #code = 0;
  #position = 0;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    for (let index = 0; index < 4; index++) this.#code = (this.#code << 8) | this.#next();
  }

  code(_bit: number, probabilityOfOne: number): number {
    let low = this.#low;
    let high = this.#high;
    const middle = splitInterval(low, high, probabilityOfOne);
    const bit = this.#code >>> 0 <= middle >>> 0 ? 1 : 0;
    if (bit === 1) high = middle;
    else low = (middle + 1) | 0;
    while ((low ^ high) >>> 24 === 0) {
      low <<= 8;
      high = (high << 8) | 0xff;
      this.#code = (this.#code << 8) | this.#next();
    }
    this.#low = low;
    this.#high = high;
    return bit;
  }

  #next(): number {
    return this.#position < this.#bytes.length ? this.#bytes[this.#position++]! : 0;
  }
}

/** Returns the last value of the sub-interval for a 1, as a signed integer. */
function splitInterval(low: number, high: number, probabilityOfOne: number): number {
  const width = (high - low) | 0;
  return (
    (low +
      Math.imul(width >>> PROBABILITY_BITS, probabilityOfOne) +
      (Math.imul(width & 0xffff, probabilityOfOne) >>> PROBABILITY_BITS)) |
    0
  );
}
