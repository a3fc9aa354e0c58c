import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { decodeLatent } from '#codec/decode-latent.ts';
import { encodeLatent } from '#codec/encode-latent.ts';
import { mostContainerBytes, writeContainer } from '#codec/header.ts';
import { LatentFormatError } from '#core/errors.ts';
import { anyLatent, COMPATIBILITY_KEY, movingObject } from './latents.ts';

vi.setConfig({ testTimeout: 120_000 });

const SHAPE = [2, 3, 6, 8] as const;
const EXPECTED = { compatibilityKey: COMPATIBILITY_KEY, shape: SHAPE };
const STORED = movingObject(1, [...SHAPE]);
const FILE = encodeLatent(STORED);

/** What decoding a latent of `SHAPE` may allocate; an honest file takes less than half. */
const MAX_ALLOCATED_BYTES = 1_000_000;

const ARRAYS = [
  'Float32Array',
  'Float64Array',
  'Int8Array',
  'Int16Array',
  'Int32Array',
  'Uint8Array',
  'Uint16Array',
  'Uint32Array',
] as const;

/** Bytes of all arrays that are made by their length while something runs. */
function allocatedBy(run: () => void): number {
  const plain = globalThis as unknown as Record<string, new (...args: unknown[]) => ArrayLike<0>>;
  const originals = ARRAYS.map((name) => [name, plain[name]!] as const);
  let bytes = 0;
  for (const [name, original] of originals) {
    const { BYTES_PER_ELEMENT: width } = original as unknown as { BYTES_PER_ELEMENT: number };
    plain[name] = new Proxy(original, {
      construct(target, args, newTarget) {
        if (typeof args[0] === 'number') {
          bytes += args[0] * width;
          // A file that gets its way would take minutes of the test.
          if (bytes > 100 * MAX_ALLOCATED_BYTES) throw new Error(`${bytes} bytes are asked for`);
        }
        return Reflect.construct(target, args, newTarget) as object;
      },
    });
  }
  try {
    run();
  } finally {
    for (const [name, original] of originals) plain[name] = original;
  }
  return bytes;
}

function decodeOrRefuse(file: Uint8Array): void {
  for (const options of [{}, { layers: 1 }, { noiseSeed: 1 }]) {
    try {
      const { whole } = decodeLatent(file, EXPECTED, options);
      if (!whole.data.every(Number.isFinite)) throw new Error('a donor of numbers that are none');
    } catch (error) {
      if (!(error instanceof LatentFormatError)) throw error;
    }
  }
}

const extent = fc.oneof(fc.constantFrom(0, 1, 2, 3, 6, 8, 255, 4096, 65535), fc.nat(65535));

/** A file whose checksums and key hold, and that says of its extents, cells and layers what it likes. */
const anyForgery = fc
  .record({
    extents: fc.oneof(
      fc.constant({ channels: 2, frames: 3, height: 6, width: 8 }),
      fc.record({ channels: extent, frames: extent, height: extent, width: extent }),
    ),
    seed: fc.nat(2 ** 32 - 1),
    firstCell: fc.constantFrom(0, 5, -1, NaN, Infinity, 1e-38, 2 ** 40, 1e38),
    maskBytes: fc.constantFrom(0, 1, 20, 4e9),
    layers: fc.array(fc.uint8Array({ maxLength: 200 }), { minLength: 3, maxLength: 3 }),
  })
  .map((content) => writeContainer({ ...content, compatibilityKey: COMPATIBILITY_KEY }));

describe('a stored latent', () => {
  it('takes memory by the extents of the package, whatever bytes it is made of', () => {
    const honest = allocatedBy(() => decodeLatent(FILE, EXPECTED));
    expect(honest).toBeGreaterThan(10_000);
    expect(honest).toBeLessThan(MAX_ALLOCATED_BYTES);
    fc.assert(
      fc.property(fc.oneof(anyForgery, fc.uint8Array({ maxLength: 400 })), (file) => {
        expect(allocatedBy(() => decodeOrRefuse(file))).toBeLessThan(MAX_ALLOCATED_BYTES);
      }),
      { numRuns: 120 },
    );
  });

  it('of other extents is foreign before anything is allocated', () => {
    const huge = Uint8Array.from(FILE);
    const view = new DataView(huge.buffer);
    view.setUint16(10, 65535, true);
    view.setUint32(56, crc32(huge.subarray(0, 56)), true);

    expect(() => decodeLatent(huge, EXPECTED)).toThrow(
      "the latent has shape [2, 3, 6, 65535], but the model's is [2, 3, 6, 8]",
    );
    expect(allocatedBy(() => decodeOrRefuse(huge))).toBeLessThan(1000);
  });

  it('whose header says that it is longer than any of its shape is corrupt', () => {
    const long = Uint8Array.from(FILE);
    const view = new DataView(long.buffer);
    view.setUint32(32 + 16, 0xffffffff, true);
    view.setUint32(56, crc32(long.subarray(0, 56)), true);

    expect(() => decodeLatent(long, EXPECTED, { layers: 1 })).toThrow('too long');
  });

  it('is never longer than the most that is fetched of its shape', () => {
    fc.assert(
      fc.property(anyLatent, (stored) => {
        const file = encodeLatent(stored);
        const { shape } = stored.latent;
        expect(file.length).toBeLessThanOrEqual(mostContainerBytes(shape));
        decodeLatent(file, { compatibilityKey: COMPATIBILITY_KEY, shape });
      }),
      { numRuns: 60 },
    );
  });
});
