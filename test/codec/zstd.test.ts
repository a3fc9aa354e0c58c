import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { napiZstd, nodeZstd, zstd } from '#codec/zstd.ts';

const IMPLEMENTATIONS = [nodeZstd, ...(napiZstd === null ? [] : [napiZstd])];
const PAIRS = IMPLEMENTATIONS.flatMap((writer) =>
  IMPLEMENTATIONS.map((reader) => ({ writer, reader, names: `${writer.name} to ${reader.name}` })),
);

describe('zstd', () => {
  it.each(PAIRS)('frames go from $names', ({ writer, reader }) => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000 }), fc.constantFrom(1, 19), (bytes, level) => {
        expect(Uint8Array.from(reader.decompress(writer.compress(bytes, level)))).toEqual(bytes);
      }),
      { numRuns: 30 },
    );
  });

  it.each(IMPLEMENTATIONS)('$name refuses what is no frame', (implementation) => {
    expect(() => implementation.decompress(new Uint8Array(20))).toThrow();
  });

  it('is the faster implementation when that is installed', () => {
    expect(zstd.name).toBe(napiZstd === null ? 'node:zlib' : 'zstd-napi');
  });
});
