import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeLatent } from '#codec/decode-latent.ts';
import { encodeLatent } from '#codec/encode-latent.ts';
import { HEADER_BYTES, prefixBytes, readHeader, writeContainer } from '#codec/header.ts';
import { errorVariance, FIRST_CELL, LAYERS, layersFor } from '#codec/layers.ts';
import { dilate, fillDilatedHoles } from '#core/latents/compose.ts';
import { LatentFormatError } from '#core/errors.ts';
import { codeOf } from '../core/code-of.ts';
import { anyLatent, COMPATIBILITY_KEY, movingObject } from './latents.ts';

const KEY = { compatibilityKey: COMPATIBILITY_KEY };
const SMALL = movingObject(1, [2, 3, 6, 8]);
const SHAPE = [16, 8, 16, 16] as const;
const LARGE = movingObject(2, [...SHAPE]);

function meanSquare(left: Float32Array, right: Float32Array): number {
  return left.reduce((sum, value, index) => sum + (value - right[index]!) ** 2, 0) / left.length;
}

function digest(values: Uint8Array | Float32Array): string {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return createHash('sha256').update(bytes).digest('hex').slice(0, 16);
}

describe('a latent container', () => {
  it('comes back within the dead zone of its last layer, whatever the latent', () => {
    fc.assert(
      fc.property(anyLatent, (stored) => {
        const file = encodeLatent(stored);
        const { firstCell } = readHeader(file, KEY);
        const { whole, errorVariance: none } = decodeLatent(file, KEY);

        // A coefficient is off by two cells at most, and the transform keeps the sum of squares.
        const twoCells = 2 * Math.sqrt(12 * errorVariance(LAYERS, firstCell));
        const largest = Math.max(1, ...stored.latent.data.map(Math.abs));
        expect(Math.sqrt(meanSquare(whole.data, stored.latent.data))).toBeLessThanOrEqual(
          twoCells + 1e-5 * largest,
        );
        expect(none).toBe(0);
      }),
      { numRuns: 150 },
    );
  });

  it('yields the mask as it was, and parts made from the very values of the whole', () => {
    fc.assert(
      fc.property(anyLatent, fc.integer({ min: 1, max: LAYERS }), (stored, layers) => {
        const file = encodeLatent(stored);
        const decoded = decodeLatent(file, KEY, { layers });

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
    expect(encodeLatent(SMALL)).toEqual(encodeLatent(SMALL));
  });

  it('has the bytes, and is read as the values, that its version has had from the start', () => {
    const file = encodeLatent(LARGE);
    const asNoise = decodeLatent(file, KEY, { layers: 1, noiseSeed: 7 });
    const shown = decodeLatent(file, KEY);
    expect([file, asNoise.whole.data, shown.whole.data].map(digest)).toEqual([
      'feaa1c7eaa4ce13d',
      'd3aa71eece519c64',
      'cd76997e6a1748cf',
    ]);
  });

  it('begins with coarser latents, which are read without the rest', () => {
    const file = encodeLatent(LARGE);
    const header = readHeader(file.subarray(0, HEADER_BYTES), KEY);
    const errors = [1, 2, 3].map((layers) => {
      const prefix = file.subarray(0, prefixBytes(header, layers));
      const { whole } = decodeLatent(prefix, KEY, { layers });
      expect(whole).toEqual(decodeLatent(file, KEY, { layers }).whole);
      return meanSquare(whole.data, LARGE.latent.data);
    });
    expect(errors[1]).toBeLessThan(errors[0]! / 2);
    expect(errors[2]).toBeLessThan(errors[1]! / 2);
    expect(prefixBytes(header, 3)).toBe(file.length);
    expect(codeOf(() => decodeLatent(file.subarray(0, -1), KEY))).toBe('latent_corrupt');
  });

  it('spends almost nothing on a latent that does not change', () => {
    const still = { ...SMALL, latent: { ...SMALL.latent, data: SMALL.latent.data.map(() => 1) } };
    const file = encodeLatent(still);
    const { whole } = decodeLatent(file, KEY);
    expect(file.length).toBeLessThan(200);
    for (const value of whole.data) expect(Math.abs(value - 1)).toBeLessThan(0.2);
  });
});

describe('a latent read for re-noising', () => {
  const file = encodeLatent(LARGE);

  it.each([1, 2, 3])(
    'from %i layers has noise of the variance that it says, on a latent or beside it',
    (layers) => {
      const { whole, errorVariance: said } = decodeLatent(file, KEY, { layers, noiseSeed: 7 });
      const { data } = LARGE.latent;
      const errors = whole.data.map((value, index) => value - data[index]!);
      const mean = errors.reduce((sum, error) => sum + error, 0) / errors.length;
      const variance = meanSquare(whole.data, data);
      const product = errors.reduce((sum, error, index) => sum + error * data[index]!, 0);
      const power = data.reduce((sum, value) => sum + value * value, 0);

      // The dead zone adds what lies in it.
      expect(variance / said).toBeGreaterThan(0.97);
      expect(variance / said).toBeLessThan(layers === 1 ? 1.15 : 2);
      expect(Math.abs(mean)).toBeLessThan(0.05);
      // What an error has of the latent: nothing but for the dead zone.
      expect(Math.abs(product / power)).toBeLessThan(0.1);
    },
  );

  it('has other noise with another seed only where the dead zone hides it', () => {
    const [first, again, other] = [7, 7, 8].map((noiseSeed) =>
      decodeLatent(file, KEY, { layers: 1, noiseSeed }),
    );
    expect(first!.whole).toEqual(again!.whole);
    const between = meanSquare(first!.whole.data, other!.whole.data);
    expect(between).toBeGreaterThan(0);
    expect(between).toBeLessThan(2 * first!.errorVariance);
  });

  it('needs the fewer layers the more noise there is', () => {
    expect([1, 0.95, 0.7, 0.6].map(layersFor)).toEqual([1, 1, 1, 1]);
    expect([0.59, 0.3, 0.27].map(layersFor)).toEqual([2, 2, 2]);
    expect([0.26, 0.1, 0].map(layersFor)).toEqual([3, 3, 3]);
    expect(errorVariance(1)).toBe(FIRST_CELL ** 2 / 12);
  });
});

describe('a damaged container', () => {
  const file = encodeLatent(SMALL);
  const isRefused = (bytes: Uint8Array, layers = LAYERS): boolean => {
    try {
      decodeLatent(bytes, KEY, { layers });
      return false;
    } catch (error) {
      if (error instanceof LatentFormatError) return true;
      throw error;
    }
  };

  it('is refused at every length but its own', () => {
    const lengths = Array.from({ length: file.length }, (_, length) => length);
    expect(lengths.filter((length) => !isRefused(file.subarray(0, length)))).toEqual([]);
    expect(isRefused(new Uint8Array([...file, 0]))).toBe(true);
  });

  it('is refused at every length that lacks a byte of the layers that are read', () => {
    const header = readHeader(file, KEY);
    for (const layers of [1, 2]) {
      const needed = prefixBytes(header, layers);
      const lengths = Array.from({ length: file.length }, (_, length) => length);
      expect(lengths.filter((length) => !isRefused(file.subarray(0, length), layers))).toEqual(
        lengths.filter((length) => length >= needed),
      );
    }
  });

  it('is refused for every single flipped bit of what is read', () => {
    const header = readHeader(file, KEY);
    for (const layers of [1, 2, 3]) {
      const accepted: number[] = [];
      for (let bit = 0; bit < prefixBytes(header, layers) * 8; bit++) {
        const flipped = Uint8Array.from(file);
        flipped[bit >> 3]! ^= 1 << (bit & 7);
        if (!isRefused(flipped, layers)) accepted.push(bit);
      }
      expect(accepted).toEqual([]);
    }
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

  it('is refused when its checksums hold but its header makes no sense', () => {
    const { extents, seed } = readHeader(file, KEY);
    const content = { extents, seed, maskBytes: 0, compatibilityKey: COMPATIBILITY_KEY };
    const layers = [new Uint8Array(4), new Uint8Array(4), new Uint8Array(4)];
    for (const firstCell of [0, -1, NaN, Infinity, 2 ** 41]) {
      const forged = writeContainer({ ...content, layers, firstCell });
      expect(codeOf(() => decodeLatent(forged, KEY))).toBe('latent_corrupt');
    }
    const longMask = writeContainer({ ...content, layers, firstCell: 5, maskBytes: 5 });
    expect(codeOf(() => decodeLatent(longMask, KEY))).toBe('latent_corrupt');
  });
});

describe('a foreign container', () => {
  const file = encodeLatent(SMALL);

  it('is one of another compatibility key', () => {
    expect(codeOf(() => decodeLatent(file, { compatibilityKey: 'model-2' }))).toBe(
      'latent_foreign',
    );
  });

  it('is one of another format or version', () => {
    const older = Uint8Array.from(file);
    older[3] = 1;
    expect(codeOf(() => decodeLatent(older, KEY))).toBe('latent_foreign');
    expect(codeOf(() => decodeLatent(new Uint8Array(500), KEY))).toBe('latent_foreign');
  });
});

describe('encodeLatent', () => {
  it('refuses numbers that are not finite or far too large, and names the channel', () => {
    const withLast = (value: number) => {
      const data = SMALL.latent.data.slice();
      data[data.length - 1] = value;
      return { ...SMALL, latent: { ...SMALL.latent, data } };
    };
    expect(() => encodeLatent(withLast(NaN))).toThrow('NaN in channel 1');
    expect(() => encodeLatent(withLast(1e30))).toThrow('beyond');
  });

  it('refuses a mask of another shape and no positions', () => {
    const otherMask = { data: new Float32Array(4), shape: [1, 2, 2] };
    const empty = { data: new Float32Array(0), shape: [0, 1, 2, 2] };
    expect(codeOf(() => encodeLatent({ ...SMALL, mask: otherMask }))).toBe('invalid_input');
    expect(codeOf(() => encodeLatent({ ...SMALL, latent: empty, mask: otherMask }))).toBe(
      'invalid_input',
    );
  });
});
