import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { decodeLatent } from '#codec/decode-latent.ts';
import { encodeLatent } from '#codec/encode-latent.ts';
import {
  BIT_DEPTHS,
  mostContainerBytes,
  readHeader,
  writeContainer,
  type LatentHeader,
} from '#codec/header.ts';
import { LatentFormatError } from '#core/errors.ts';
import { zstd } from '#codec/zstd.ts';
import { codeOf } from '../core/code-of.ts';
import { anyLatent, COMPATIBILITY_KEY, movingObject } from './latents.ts';

vi.setConfig({ testTimeout: 120_000 });

const SHAPE = [2, 3, 6, 8] as const;
const EXPECTED = { compatibilityKey: COMPATIBILITY_KEY, shape: SHAPE };
const STORED = movingObject(1, [...SHAPE]);
const FILE = encodeLatent(STORED, { bits: 4 });

/** What decoding a latent of `SHAPE` may allocate; an honest file takes about a third. */
const MOST_ALLOCATED_BYTES = 1_000_000;

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
          if (bytes > 100 * MOST_ALLOCATED_BYTES) throw new Error(`${bytes} bytes are asked for`);
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
  try {
    const { whole } = decodeLatent(file, EXPECTED);
    if (!whole.data.every(Number.isFinite)) throw new Error('a donor of numbers that are none');
  } catch (error) {
    if (!(error instanceof LatentFormatError)) throw error;
  }
}

const extent = fc.oneof(fc.constantFrom(0, 1, 2, 3, 6, 8, 255, 4096, 65535), fc.nat(65535));

/** A file whose checksums and key hold, and that says of its extents and sections what it likes. */
const anyForgery = fc
  .record({
    extents: fc.oneof(
      fc.constant({ channels: 2, frames: 3, height: 6, width: 8 }),
      fc.record({ channels: extent, frames: extent, height: extent, width: extent }),
    ),
    bits: fc.constantFrom(...BIT_DEPTHS),
    entropy: fc.constantFrom('range', 'zstd'),
    mask: fc.uint8Array({ maxLength: 40 }),
    part: fc.uint8Array({ maxLength: 200 }),
    isBomb: fc.boolean(),
    step: fc.constantFrom(0, 0.5, -1, NaN, Infinity),
  })
  .map(({ extents, bits, entropy, mask, part, isBomb, step }) => {
    const steps = new Float32Array(extents.channels).fill(step);
    const section = isBomb ? bombOf(extents.channels, extents.frames) : part;
    return writeContainer({
      bits,
      entropy,
      extents,
      steps,
      compatibilityKey: COMPATIBILITY_KEY,
      sections: { mask, object: section, background: section },
    });
  });

/** A valid beginning of a section, then a small frame of 16 MB of zeros. */
const BOMB = zstd.compress(new Uint8Array(16 * 1024 * 1024), 1);
function bombOf(channels: number, frames: number): Uint8Array {
  const motion = new Uint8Array(frames).fill(12);
  return Uint8Array.from([...motion, ...new Uint8Array(channels), ...BOMB]);
}

describe('a stored latent', () => {
  it('takes memory by the extents of the package, whatever bytes it is made of', () => {
    const honest = allocatedBy(() => decodeLatent(FILE, EXPECTED));
    expect(honest).toBeGreaterThan(10_000);
    expect(honest).toBeLessThan(MOST_ALLOCATED_BYTES);
    fc.assert(
      fc.property(fc.oneof(anyForgery, fc.uint8Array({ maxLength: 400 })), (file) => {
        expect(allocatedBy(() => decodeOrRefuse(file))).toBeLessThan(MOST_ALLOCATED_BYTES);
      }),
      { numRuns: 120 },
    );
  });

  it('of other extents is foreign before anything is allocated', () => {
    const huge = Uint8Array.from(FILE);
    new DataView(huge.buffer).setUint16(12, 65535, true);
    const checked = 54 + 2 * 2;
    new DataView(huge.buffer).setUint32(checked, crc32(huge.subarray(0, checked)), true);

    expect(() => decodeLatent(huge, EXPECTED)).toThrow(
      "the latent says that its shape is [2, 3, 6, 65535]; the model's is [2, 3, 6, 8]",
    );
    expect(allocatedBy(() => decodeOrRefuse(huge))).toBeLessThan(1000);
  });

  it('whose zstd frame holds more than its section is corrupt', () => {
    const header: LatentHeader = readHeader(FILE, EXPECTED);
    const { offset, bytes } = header.sections.mask;
    const bomb = writeContainer({
      ...header,
      entropy: 'zstd',
      compatibilityKey: COMPATIBILITY_KEY,
      sections: {
        mask: FILE.subarray(offset, offset + bytes),
        object: bombOf(2, 3),
        background: bombOf(2, 3),
      },
    });

    expect(codeOf(() => decodeLatent(bomb, EXPECTED))).toBe('latent_corrupt');
  });

  it('whose header says that it is longer than any of its shape is corrupt', () => {
    const long = Uint8Array.from(FILE);
    new DataView(long.buffer).setUint32(30 + 16, 0xffffffff, true);
    const checked = 54 + 2 * 2;
    new DataView(long.buffer).setUint32(checked, crc32(long.subarray(0, checked)), true);

    expect(() => readHeader(long, EXPECTED)).toThrow('too long');
  });

  it('is never longer than the most that is fetched of its shape', () => {
    fc.assert(
      fc.property(
        anyLatent,
        fc.constantFrom(...BIT_DEPTHS),
        fc.constantFrom('range', 'zstd'),
        (stored, bits, entropy) => {
          const file = encodeLatent(stored, { bits, entropy });
          const { shape } = stored.latent;
          expect(file.length).toBeLessThanOrEqual(mostContainerBytes(shape));
          decodeLatent(file, { compatibilityKey: COMPATIBILITY_KEY, shape });
        },
      ),
      { numRuns: 60 },
    );
  });
});
