import { createRequire } from 'node:module';
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';

/** One implementation of Zstandard. Both read each other's frames. */
export interface Zstd {
  /** Which it is, for `doctor`. */
  name: 'zstd-napi' | 'node:zlib';
  compress(data: Uint8Array, level: number): Uint8Array;
  /** @throws Error when the frame is damaged. */
  decompress(frame: Uint8Array): Uint8Array;
}

/** The Zstandard that comes with Node. */
export const nodeZstd: Zstd = {
  name: 'node:zlib',
  compress: (data, level) =>
    zstdCompressSync(data, { params: { [constants.ZSTD_c_compressionLevel]: level } }),
  decompress: (frame) => zstdDecompressSync(frame),
};

type ZstdNapi = typeof import('zstd-napi');

/** The optional dependency `zstd-napi`; null when it is not installed or was not built. */
export const napiZstd: Zstd | null = loadNapiZstd();

/** `zstd-napi` when it is there, else what Node brings. */
export const zstd: Zstd = napiZstd ?? nodeZstd;

function loadNapiZstd(): Zstd | null {
  let napi: ZstdNapi;
  try {
    napi = createRequire(import.meta.url)('zstd-napi') as ZstdNapi;
  } catch {
    return null;
  }
  return {
    name: 'zstd-napi',
    compress: (data, level) => napi.compress(data, { compressionLevel: level }),
    decompress: (frame) => napi.decompress(frame),
  };
}
