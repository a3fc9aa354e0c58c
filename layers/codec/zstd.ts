import { createRequire } from 'node:module';
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';

/** One implementation of Zstandard compression. `decompressZstd` reads the frames of each. */
export interface Zstd {
  /** Which it is, for `doctor`. */
  name: 'zstd-napi' | 'node:zlib';
  compress(data: Uint8Array, level: number): Uint8Array;
}

/** The Zstandard that comes with Node. */
export const nodeZstd: Zstd = {
  name: 'node:zlib',
  compress: (data, level) =>
    zstdCompressSync(data, {
      params: { [constants.ZSTD_c_compressionLevel]: level },
    }),
};

type ZstdNapi = typeof import('zstd-napi');

/** The optional dependency `zstd-napi`; null when it is not installed or was not built. */
export const napiZstd: Zstd | null = loadNapiZstd();

/** `zstd-napi` when it is there, else what Node brings. */
export const zstd: Zstd = napiZstd ?? nodeZstd;

/** The smallest window of the format (RFC 8878, 3.1.1.1.2), as a power of two. */
const SMALLEST_WINDOW_LOG = 10;

/**
 * What a frame holds. A frame says itself how large its content and its window are, and may lie:
 * `zstd-napi` allocates what it says, so frames are read by Node, which takes a limit of both.
 *
 * @param mostBytes more content, or a window of more than the next power of two, is an error
 * @throws Error when the frame is damaged or holds more.
 */
export function decompressZstd(frame: Uint8Array, mostBytes: number): Uint8Array {
  const windowLog = Math.max(SMALLEST_WINDOW_LOG, Math.ceil(Math.log2(mostBytes)));
  return zstdDecompressSync(frame, {
    maxOutputLength: mostBytes,
    params: { [constants.ZSTD_d_windowLogMax]: windowLog },
  });
}

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
  };
}
