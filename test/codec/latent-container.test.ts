import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeLatent, decodePart } from '#codec/decode-latent.ts';
import { encodeLatent } from '#codec/encode-latent.ts';
import { BIT_DEPTHS, HEADER_READ_BYTES, readHeader, writeContainer } from '#codec/header.ts';
import { DEAD_ZONE_STEPS } from '#codec/section.ts';
import { dilate, fillDilatedHoles } from '#core/compose.ts';
import { LatentFormatError } from '#core/errors.ts';
import { codeOf } from '../core/code-of.ts';
import { anyLatent, COMPATIBILITY_KEY, movingObject } from './latents.ts';

const KEY = { compatibilityKey: COMPATIBILITY_KEY };
const SMALL = movingObject(1, [2, 3, 6, 8]);

describe('a latent container', () => {
  it('comes back within the dead zone of each coefficient, at every bit depth and coding', () => {
    fc.assert(
      fc.property(
        anyLatent,
        fc.constantFrom(...BIT_DEPTHS),
        fc.constantFrom('range', 'zstd'),
        (stored, bits, entropy) => {
          const file = encodeLatent(stored, { bits, entropy });
          const { steps } = readHeader(file, KEY);
          const { whole } = decodeLatent(file, KEY);

          const [, frames, height, width] = stored.latent.shape;
          const farthest = DEAD_ZONE_STEPS.loneChange * Math.sqrt(frames) * 1.001;
          for (const [index, value] of whole.data.entries()) {
            const step = steps[Math.floor(index / (frames * height * width))]!;
            const error = Math.abs(value - stored.latent.data[index]!);
            expect(error).toBeLessThanOrEqual(farthest * step);
          }
        },
      ),
      { numRuns: 150 },
    );
  });

  it('gets closer with every bit', () => {
    const errors = BIT_DEPTHS.map((bits) => {
      const { whole } = decodeLatent(encodeLatent(SMALL, { bits }), KEY);
      return whole.data.reduce((sum, value, i) => sum + (value - SMALL.latent.data[i]!) ** 2, 0);
    });
    expect(errors).toEqual(errors.toSorted((left, right) => left - right));
  });

  it('yields the mask as it was, and parts made from the very values of the whole', () => {
    fc.assert(
      fc.property(anyLatent, (stored) => {
        const decoded = decodeLatent(encodeLatent(stored, { bits: 4 }), KEY);

        const dilated = dilate(stored.mask);
        const inside = dilated.data;
        const isInside = (index: number): boolean => inside[index % inside.length] === 1;
        expect(decoded.mask.data).toEqual(stored.mask.data);
        expect(decoded.dilatedMask.data).toEqual(inside);
        expect(decoded.object.data).toEqual(
          decoded.whole.data.map((value, index) => (isInside(index) ? value : 0)),
        );
        expect(decoded.background.data).toEqual(fillDilatedHoles(decoded.whole, dilated).data);
      }),
      { numRuns: 60 },
    );
  });

  it('is the same file for the same latent', () => {
    expect(encodeLatent(SMALL, { bits: 4 })).toEqual(encodeLatent(SMALL, { bits: 4 }));
  });

  it('reads one part from the bytes that the header points at', () => {
    const file = encodeLatent(SMALL, { bits: 4 });
    const whole = decodeLatent(file, KEY);

    const header = readHeader(file.subarray(0, HEADER_READ_BYTES), KEY);
    const bytesOf = (name: 'mask' | 'object' | 'background'): Uint8Array => {
      const { offset, bytes } = header.sections[name];
      return file.subarray(offset, offset + bytes);
    };
    const object = decodePart(header, 'object', { mask: bytesOf('mask'), part: bytesOf('object') });
    const background = decodePart(header, 'background', {
      mask: bytesOf('mask'),
      part: bytesOf('background'),
    });

    expect(object.latent.data).toEqual(whole.object.data);
    expect(background.latent.data).toEqual(whole.background.data);
  });

  it('refuses one part for the other', () => {
    const file = encodeLatent(SMALL, { bits: 4 });
    const header = readHeader(file, KEY);
    const { offset, bytes } = header.sections.mask;
    const mask = file.subarray(offset, offset + bytes);
    const place = header.sections.background;
    const background = file.subarray(place.offset, place.offset + place.bytes);
    expect(codeOf(() => decodePart(header, 'object', { mask, part: background }))).toBe(
      'latent_corrupt',
    );
  });

  it('spends almost nothing on a latent that does not change', () => {
    const still = { ...SMALL, latent: { ...SMALL.latent, data: SMALL.latent.data.map(() => 1) } };
    const { whole } = decodeLatent(encodeLatent(still, { bits: 8 }), KEY);
    expect(encodeLatent(still, { bits: 4 }).length).toBeLessThan(200);
    for (const value of whole.data) expect(value).toBeCloseTo(1, 1);
  });
});

describe('a damaged container', () => {
  const file = encodeLatent(SMALL, { bits: 4 });
  const isRefused = (bytes: Uint8Array): boolean => {
    try {
      decodeLatent(bytes, KEY);
      return false;
    } catch (error) {
      return error instanceof LatentFormatError;
    }
  };

  it('is refused at every length but its own', () => {
    const lengths = Array.from({ length: file.length }, (_, length) => length);
    expect(lengths.filter((length) => !isRefused(file.subarray(0, length)))).toEqual([]);
    expect(isRefused(new Uint8Array([...file, 0]))).toBe(true);
  });

  it('is refused for every single flipped bit', () => {
    const accepted: number[] = [];
    for (let bit = 0; bit < file.length * 8; bit++) {
      const flipped = Uint8Array.from(file);
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      if (!isRefused(flipped)) accepted.push(bit);
    }
    expect(accepted).toEqual([]);
  });

  it('is refused for any torn stretch and any other bytes', () => {
    fc.assert(
      fc.property(
        fc.nat(file.length - 1),
        fc.uint8Array({ minLength: 1, maxLength: 64 }),
        (at, bytes) => {
          const torn = Uint8Array.from(file);
          torn.set(bytes.subarray(0, file.length - at), at);
          fc.pre(Buffer.compare(torn, file) !== 0);
          expect(isRefused(torn)).toBe(true);
        },
      ),
    );
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        expect(isRefused(bytes)).toBe(true);
      }),
    );
  });

  it('is refused when its checksums hold but its sections make no sense', () => {
    const header = readHeader(file, KEY);
    const mask = file.subarray(
      header.sections.mask.offset,
      header.sections.mask.offset + header.sections.mask.bytes,
    );
    const forge = (entropy: 'range' | 'zstd', object: Uint8Array): Uint8Array =>
      writeContainer({
        ...header,
        entropy,
        compatibilityKey: COMPATIBILITY_KEY,
        sections: { mask, object, background: object },
      });
    expect(codeOf(() => decodeLatent(forge('range', new Uint8Array(0)), KEY))).toBe(
      'latent_corrupt',
    );
    expect(codeOf(() => decodeLatent(forge('range', new Uint8Array(64).fill(255)), KEY))).toBe(
      'latent_corrupt',
    );
    expect(codeOf(() => decodeLatent(forge('zstd', new Uint8Array(64)), KEY))).toBe(
      'latent_corrupt',
    );
  });
});

describe('a foreign container', () => {
  const file = encodeLatent(SMALL, { bits: 4 });

  it('is one of another compatibility key', () => {
    expect(codeOf(() => decodeLatent(file, { compatibilityKey: 'model-2' }))).toBe(
      'latent_foreign',
    );
  });

  it('is one of another format or version', () => {
    const newer = Uint8Array.from(file);
    newer[3] = 2;
    expect(codeOf(() => decodeLatent(newer, KEY))).toBe('latent_foreign');
    expect(codeOf(() => decodeLatent(new Uint8Array(500), KEY))).toBe('latent_foreign');
  });
});

describe('encodeLatent', () => {
  it('refuses numbers that are not finite and names the channel', () => {
    const data = SMALL.latent.data.slice();
    data[data.length - 1] = NaN;
    expect(() =>
      encodeLatent({ ...SMALL, latent: { ...SMALL.latent, data } }, { bits: 4 }),
    ).toThrow('NaN in channel 1');
  });

  it('refuses a mask of another shape, no positions and an unknown bit depth', () => {
    const otherMask = { data: new Float32Array(4), shape: [1, 2, 2] };
    const empty = { data: new Float32Array(0), shape: [0, 1, 2, 2] };
    const refused = (input: Partial<typeof SMALL>, bits: number): string | null =>
      codeOf(() => encodeLatent({ ...SMALL, ...input }, { bits: bits as 4 }));
    expect(refused({ mask: otherMask as unknown as typeof SMALL.mask }, 4)).toBe('invalid_input');
    expect(
      codeOf(() => encodeLatent({ ...SMALL, latent: empty, mask: otherMask }, { bits: 4 })),
    ).toBe('invalid_input');
    expect(refused({}, 7)).toBe('invalid_input');
  });
});
