/** Probabilities of a 1 are 16-bit: 1..65535 of 65536. */
export const PROBABILITY_BITS = 16;

/**
 * Codes one bit: an encoder writes `bit` and returns it, a decoder ignores `bit` and returns the one
 * it read. Encoding and decoding thus run the same code and cannot drift apart.
 */
export interface BitCoder {
  code(bit: number, probabilityOfOne: number): number;
}

const INITIAL_CAPACITY_BYTES = 4096;

/** Binary range encoder: narrows a 32-bit interval and sends the bytes both ends agree on. */
export class RangeEncoder implements BitCoder {
  #low = 0;
  #high = 0xffffffff;
  #bytes = new Uint8Array(INITIAL_CAPACITY_BYTES);
  #length = 0;

  code(bit: number, probabilityOfOne: number): number {
    const middle = splitInterval(this.#low, this.#high, probabilityOfOne);
    if (bit === 1) this.#high = middle;
    else this.#low = middle + 1;
    while ((this.#low ^ this.#high) >>> 24 === 0) {
      this.#push(this.#high >>> 24);
      this.#low = (this.#low << 8) >>> 0;
      this.#high = ((this.#high << 8) | 0xff) >>> 0;
    }
    return bit;
  }

  /** The coded bytes. A decoder reads 0 past their end, so trailing zeros are not sent. */
  finish(): Uint8Array {
    // The interval's ends differ in their first byte, so one byte and zeros name a value inside it.
    if (this.#low > 0) this.#push(Math.ceil(this.#low / 2 ** 24));
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

/** Reads what `RangeEncoder` wrote, given the same probabilities. */
export class RangeDecoder implements BitCoder {
  #low = 0;
  #high = 0xffffffff;
  #code = 0;
  #position = 0;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    for (let index = 0; index < 4; index++) this.#code = ((this.#code << 8) | this.#next()) >>> 0;
  }

  code(_bit: number, probabilityOfOne: number): number {
    const middle = splitInterval(this.#low, this.#high, probabilityOfOne);
    const bit = this.#code <= middle ? 1 : 0;
    if (bit === 1) this.#high = middle;
    else this.#low = middle + 1;
    while ((this.#low ^ this.#high) >>> 24 === 0) {
      this.#low = (this.#low << 8) >>> 0;
      this.#high = ((this.#high << 8) | 0xff) >>> 0;
      this.#code = ((this.#code << 8) | this.#next()) >>> 0;
    }
    return bit;
  }

  #next(): number {
    return this.#position < this.#bytes.length ? this.#bytes[this.#position++]! : 0;
  }
}

/** The last value of the interval's part that stands for a 1. */
function splitInterval(low: number, high: number, probabilityOfOne: number): number {
  const width = high - low;
  return (
    low +
    (width >>> PROBABILITY_BITS) * probabilityOfOne +
    (((width & 0xffff) * probabilityOfOne) >>> PROBABILITY_BITS)
  );
}
