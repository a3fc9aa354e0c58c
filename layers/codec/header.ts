import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { LatentFormatError } from '#core/errors.ts';
import type { LatentExtents } from '#core/latents/compose.ts';
import { elementCount } from '#core/latents/tensor.ts';
import { LAYERS } from './layers.ts';

/**
 * The latent container, `.fcl`, little-endian:
 *
 * | offset | bytes | what |
 * |---|---|---|
 * | 0 | 4 | magic `FCL` and the version |
 * | 4 | 8 | C, T, H, W, 16 bits each |
 * | 12 | 8 | of the sha256 of the compatibility key, the first bytes |
 * | 20 | 4 | seed of the dither |
 * | 24 | 2 | width of the first layer's cells: the upper 16 bits of its float32 |
 * | 26 | 2 | 0 |
 * | 28 | 4 | bytes of the mask, with which the first layer begins |
 * | 32 | 24 | bytes and crc32 of each of the three layers |
 * | 56 | 4 | crc32 of all of the above |
 *
 * The layers follow in order, so that the beginning of a file is a latent too, a coarser one. Every byte is
 * under a checksum, and the length is known, so a file that was cut, grown or altered is refused.
 */
const MAGIC = 'FCL';
const VERSION = 6;
const COMPATIBILITY_OFFSET = 12;
const COMPATIBILITY_BYTES = 8;
const SEED_OFFSET = 20;
const CELL_OFFSET = 24;
const UNUSED_OFFSET = 26;
const MASK_OFFSET = 28;
const LAYERS_OFFSET = 32;
const CHECKSUM_OFFSET = LAYERS_OFFSET + 8 * LAYERS;
export const HEADER_BYTES = CHECKSUM_OFFSET + 4;

/** Maximum cell width; wider cells would be for numbers that no latent has. */
export const WIDEST_CELL = 2 ** 40;

/** What a reader knows of a latent before it reads the file. */
export interface ExpectedLatent {
  compatibilityKey: string;
  /**
   * `[C, T, H, W]` of the package's latents. Other extents are rejected, so that a file's own
   * header never controls memory allocation. Omitted only if the bytes were checked against a known
   * sha256.
   */
  shape?: readonly number[];
}

/** Overhead of a container beyond its values: the header, and small sections that may expand. */
const CONTAINER_MARGIN_BYTES = 4096;

/**
 * Computes the maximum size of a container of this shape: the bytes of the latent and its mask in
 * memory, plus a margin. Anything longer is not such a container and need not be fetched.
 *
 * @param shape `[C, T, H, W]`
 */
export function mostContainerBytes(shape: readonly number[]): number {
  const positions = elementCount(shape.slice(1));
  return CONTAINER_MARGIN_BYTES + 4 * (elementCount(shape) + positions);
}

/** Cumulative bits per value of the layers in typical latents. */
const TYPICAL_BITS = [0.35, 1.1, 1.75] as const;

/**
 * Computes how many bytes to fetch to get the first layers of most containers of the shape. The
 * header, which comes with them, shows whether some are missing.
 *
 * @param shape `[C, T, H, W]`
 */
export function likelyPrefixBytes(shape: readonly number[], layers: number): number {
  return HEADER_BYTES + 64 + Math.ceil((elementCount(shape) * TYPICAL_BITS[layers - 1]!) / 8);
}

/** Position of a layer in the file. */
export interface LayerPlace {
  /** Offset from the beginning of the file. */
  offset: number;
  bytes: number;
  crc32: number;
}

/**
 * Checks the file's length. @throws LatentFormatError `latent_corrupt` if it differs from the
 * header's
 */
export function requireLength({ bytes }: LatentHeader, fileBytes: number): void {
  if (fileBytes === bytes) return;
  throw new LatentFormatError(
    'latent_corrupt',
    `latent has ${fileBytes} bytes, its header says ${bytes}`,
  );
}

/** Parsed header of a container. */
export interface LatentHeader {
  extents: LatentExtents;
  /** 16 hexadecimal digits. */
  compatibility: string;
  /** Seed of the dither. */
  seed: number;
  /** Width of the first layer's cells. */
  firstCell: number;
  maskBytes: number;
  layers: readonly LayerPlace[];
  /** Size of the whole file. */
  bytes: number;
}

/** Returns the number of bytes up to the end of the first `layers` layers. */
export function prefixBytes({ layers: places }: LatentHeader, layers: number): number {
  const { offset, bytes } = places[layers - 1]!;
  return offset + bytes;
}

/** Returns the compared part of a compatibility key: 16 hexadecimal digits. */
export function compatibilityDigest(compatibilityKey: string): string {
  return createHash('sha256')
    .update(compatibilityKey)
    .digest('hex')
    .slice(0, 2 * COMPATIBILITY_BYTES);
}

/**
 * Reads and checks the header of a container.
 *
 * @param bytes the file, or at least its first `HEADER_BYTES`
 * @throws LatentFormatError `latent_foreign` if it is not a container of this version, or of
 * another compatibility key or shape; `latent_corrupt` if it is damaged
 */
export function readHeader(
  bytes: Uint8Array,
  { compatibilityKey, shape }: ExpectedLatent,
): LatentHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < HEADER_BYTES) {
    throw new LatentFormatError('latent_corrupt', `latent of ${bytes.length} bytes has no header`);
  }
  const magic = Buffer.from(bytes.subarray(0, MAGIC.length)).toString('latin1');
  if (magic !== MAGIC || view.getUint8(3) !== VERSION) {
    throw new LatentFormatError(
      'latent_foreign',
      `not a latent container of version ${VERSION}: it begins with ${JSON.stringify(magic)}`,
    );
  }
  if (view.getUint32(CHECKSUM_OFFSET, true) !== crc32(bytes.subarray(0, CHECKSUM_OFFSET))) {
    throw new LatentFormatError('latent_corrupt', 'the header of the latent is damaged');
  }
  const compatibility = Buffer.from(bytes.subarray(COMPATIBILITY_OFFSET, SEED_OFFSET)).toString(
    'hex',
  );
  if (compatibility !== compatibilityDigest(compatibilityKey)) {
    throw new LatentFormatError(
      'latent_foreign',
      'the latent was made by another model, geometry or scheduler',
    );
  }
  const extents: LatentExtents = {
    channels: view.getUint16(4, true),
    frames: view.getUint16(6, true),
    height: view.getUint16(8, true),
    width: view.getUint16(10, true),
  };
  if (shape !== undefined) requireShape(extents, shape);
  const firstCell = expandCell(view.getUint16(CELL_OFFSET, true));
  const maskBytes = view.getUint32(MASK_OFFSET, true);
  let offset = HEADER_BYTES;
  const layers = Array.from({ length: LAYERS }, (_, layer) => {
    const at = LAYERS_OFFSET + 8 * layer;
    const bytesOfLayer = view.getUint32(at, true);
    const place = { offset, bytes: bytesOfLayer, crc32: view.getUint32(at + 4, true) };
    offset += bytesOfLayer;
    return place;
  });
  if (
    !(firstCell > 0 && firstCell <= WIDEST_CELL) ||
    view.getUint16(UNUSED_OFFSET, true) !== 0 ||
    maskBytes > layers[0]!.bytes
  ) {
    throw new LatentFormatError('latent_corrupt', 'the header of the latent is inconsistent');
  }
  if (shape !== undefined && offset > mostContainerBytes(shape)) {
    throw new LatentFormatError('latent_corrupt', `a latent of ${offset} bytes is too long`);
  }
  return {
    extents,
    compatibility,
    seed: view.getUint32(SEED_OFFSET, true),
    firstCell,
    maskBytes,
    layers,
    bytes: offset,
  };
}

function requireShape(
  { channels, frames, height, width }: LatentExtents,
  shape: readonly number[],
): void {
  const found = [channels, frames, height, width];
  if (found.length === shape.length && found.every((extent, axis) => extent === shape[axis]))
    return;
  throw new LatentFormatError(
    'latent_foreign',
    `the latent has shape [${found.join(', ')}], but the model's is [${shape.join(', ')}]`,
  );
}

/** Input of `writeContainer`. */
export interface ContainerContent {
  extents: LatentExtents;
  compatibilityKey: string;
  seed: number;
  /** Must be a result of `roundCellUp`. */
  firstCell: number;
  maskBytes: number;
  /** The first layer begins with the mask. */
  layers: readonly Uint8Array[];
}

/** Writes the bytes of a container. */
export function writeContainer(content: ContainerContent): Uint8Array {
  const { extents, layers } = content;
  const file = new Uint8Array(Buffer.concat([new Uint8Array(HEADER_BYTES), ...layers]));
  const view = new DataView(file.buffer);
  file.set(Buffer.from(MAGIC, 'latin1'));
  view.setUint8(3, VERSION);
  view.setUint16(4, extents.channels, true);
  view.setUint16(6, extents.frames, true);
  view.setUint16(8, extents.height, true);
  view.setUint16(10, extents.width, true);
  file.set(Buffer.from(compatibilityDigest(content.compatibilityKey), 'hex'), COMPATIBILITY_OFFSET);
  view.setUint32(SEED_OFFSET, content.seed, true);
  view.setUint16(CELL_OFFSET, shortenCell(content.firstCell), true);
  view.setUint32(MASK_OFFSET, content.maskBytes, true);
  for (const [layer, payload] of layers.entries()) {
    view.setUint32(LAYERS_OFFSET + 8 * layer, payload.length, true);
    view.setUint32(LAYERS_OFFSET + 8 * layer + 4, crc32(payload), true);
  }
  view.setUint32(CHECKSUM_OFFSET, crc32(file.subarray(0, CHECKSUM_OFFSET)), true);
  return file;
}

/** Rounds a cell width up to the next value that the header can represent. */
export function roundCellUp(cell: number): number {
  const shortened = shortenCell(cell);
  const expanded = expandCell(shortened);
  return expanded >= cell ? expanded : expandCell(shortened + 1);
}

function shortenCell(cell: number): number {
  return new Uint32Array(Float32Array.of(cell).buffer)[0]! >>> 16;
}

function expandCell(shortened: number): number {
  return new Float32Array(Uint32Array.of(shortened * 65536).buffer)[0]!;
}
