import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BitMixer } from '#codec/bit-mixer.ts';
import { ExpectedBits, ONE } from '#codec/expected-bits.ts';
import { RangeDecoder, RangeEncoder } from '#codec/range-coder.ts';

const anyBits = fc.array(
  fc.record({ bit: fc.constantFrom(0, 1), probability: fc.integer({ min: 1, max: 65535 }) }),
  { maxLength: 3000 },
);

describe('the range coder', () => {
  it('gives back every bit, however wrong its probability was', () => {
    fc.assert(
      fc.property(anyBits, (bits) => {
        const encoder = new RangeEncoder();
        for (const { bit, probability } of bits) encoder.code(bit, probability);
        const decoder = new RangeDecoder(encoder.finish());
        const decoded = bits.map(({ probability }) => decoder.code(0, probability));
        expect(decoded).toEqual(bits.map(({ bit }) => bit));
      }),
    );
  });

  it('comes within one percent of the entropy', () => {
    const encoder = new RangeEncoder();
    const probability = 6554;
    const count = 100_000;
    for (let index = 0; index < count; index++) encoder.code(index % 10 === 0 ? 1 : 0, probability);
    const entropyBytes = (count * (0.1 * Math.log2(10) + 0.9 * Math.log2(1 / 0.9))) / 8;
    expect(encoder.finish().length).toBeLessThan(entropyBytes * 1.01);
  });

  it('sends nothing for nothing', () => {
    expect(new RangeEncoder().finish()).toHaveLength(0);
  });
});

describe('BitMixer', () => {
  it('learns which of its contexts knows the bit', () => {
    const run = (coder: RangeEncoder | RangeDecoder, bits: readonly number[]): number[] => {
      const mixer = new BitMixer([2, 2], 1, 5e-10);
      const contexts = new Int32Array(2);
      return bits.map((bit, index) => {
        contexts[0] = mixer.firstContexts[0]! + ((index * 7) % 3 === 0 ? 1 : 0);
        contexts[1] = mixer.firstContexts[1]! + (index % 2);
        return mixer.code(coder, bit, contexts, 0, 0);
      });
    };
    const bits = Array.from({ length: 4000 }, (_, index) => index % 2);
    const encoder = new RangeEncoder();

    run(encoder, bits);
    const file = encoder.finish();
    const decoded = run(
      new RangeDecoder(file),
      bits.map(() => 0),
    );

    expect(decoded).toEqual(bits);
    expect(file.length).toBeLessThan(60);
  });
});

describe('ExpectedBits', () => {
  const run = (coder: RangeEncoder | RangeDecoder, bits: readonly number[], expected: number) => {
    const coded = new ExpectedBits(coder, 2);
    return bits.map((bit, index) => coded.code(bit, index % 2, Math.floor(expected * ONE)));
  };

  it('spends what was expected where that is right, and soon little where it is wrong', () => {
    const bits = Array.from({ length: 4000 }, (_, index) => (index % 500 === 499 ? 1 : 0));
    const bytesAt = (expected: number): number => {
      const encoder = new RangeEncoder();
      run(encoder, bits, expected);
      const file = encoder.finish();
      expect(run(new RangeDecoder(file), bits, expected)).toEqual(bits);
      return file.length;
    };
    expect(bytesAt(1 / 500)).toBeLessThan(20);
    expect(bytesAt(0.5)).toBeLessThan(40);
  });

  it('gives back every bit, whatever was expected', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom(0, 1), fc.integer({ min: 0, max: ONE }))),
        (bits) => {
          const encoder = new RangeEncoder();
          const written = new ExpectedBits(encoder, 1);
          for (const [bit, expected] of bits) written.code(bit, 0, expected);
          const read = new ExpectedBits(new RangeDecoder(encoder.finish()), 1);
          expect(bits.map(([, expected]) => read.code(0, 0, expected))).toEqual(
            bits.map(([bit]) => bit),
          );
        },
      ),
    );
  });
});
