import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decompressZstd, napiZstd, nodeZstd, zstd } from '#codec/zstd.ts';

const IMPLEMENTATIONS = [nodeZstd, ...(napiZstd === null ? [] : [napiZstd])];

describe('zstd', () => {
  it.each(IMPLEMENTATIONS)('frames of $name are read within their own size', (writer) => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000 }), fc.constantFrom(1, 19), (bytes, level) => {
        const frame = writer.compress(bytes, level);
        expect(Uint8Array.from(decompressZstd(frame, Math.max(1, bytes.length)))).toEqual(bytes);
      }),
      { numRuns: 30 },
    );
  });

  it.each(IMPLEMENTATIONS)(
    'frames of $name that hold more than is wanted are refused',
    (writer) => {
      const frame = writer.compress(new Uint8Array(64 * 1024 * 1024), 1);
      expect(frame.length).toBeLessThan(10_000);
      expect(() => decompressZstd(frame, 5000)).toThrow();
    },
  );

  it('refuses what is no frame', () => {
    expect(() => decompressZstd(new Uint8Array(20), 1000)).toThrow();
  });

  it('is the faster implementation when that is installed', () => {
    expect(zstd.name).toBe(napiZstd === null ? 'node:zlib' : 'zstd-napi');
  });
});
