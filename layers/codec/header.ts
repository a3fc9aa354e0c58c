import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { LatentFormatError } from '#core/errors.ts';
import type { LatentExtents } from '#core/compose.ts';
import { elementCount } from '#core/tensor.ts';
import { ENTROPY_CODES, type EntropyCoding } from './section.ts';

/**
 * The latent container, `.fcl`, little-endian:
 *
 * | offset | bytes | what |
 * |---|---|---|
 * | 0 | 4 | magic `FCL` and the version |
 * | 4 | 1 | bits per value |
 * | 5 | 1 | entropy coding: 0 range, 1 zstd |
 * | 6 | 8 | C, T, H, W, 16 bits each |
 * | 14 | 16 | first half of the sha256 of the compatibility key |
 * | 30 | 24 | bytes and crc32 of the sections mask, object, background |
 * | 54 | 2 C | quantisation step of each channel: the upper 16 bits of its float32 |
 * | 54 + 2 C | 4 | crc32 of all of the above |
 *
 * The sections follow in that order. Every byte is under a checksum, and the length is known, so a
 * file that was cut, grown or altered is refused.
 */
const MAGIC = 'FCL';
const VERSION = 1;
const COMPATIBILITY_OFFSET = 14;
const COMPATIBILITY_BYTES = 16;
const SECTIONS_OFFSET = 30;
const STEPS_OFFSET = 54;
const CHECKSUM_BYTES = 4;

/** Enough bytes to read the header of any latent with up to 64 channels in one ranged read. */
export const HEADER_READ_BYTES = STEPS_OFFSET + 2 * 64 + CHECKSUM_BYTES;

export const SECTION_NAMES = ['mask', 'object', 'background'] as const;
export type SectionName = (typeof SECTION_NAMES)[number];

/** Bit depths a latent can be stored at. */
export const BIT_DEPTHS = [8, 6, 5, 4, 3] as const;
export type BitDepth = (typeof BIT_DEPTHS)[number];

/** What a reader knows of a latent before it looks into the file. */
export interface ExpectedLatent {
  compatibilityKey: string;
  /**
   * `[C, T, H, W]` of the package's latents: no other extents are read, so that what a file says of
   * itself decides over no memory. Left out only where the bytes were compared with a known sha256.
   */
  shape?: readonly number[];
}

/** Bytes that a container may take beside its values: the header, and small sections that grow. */
const CONTAINER_MARGIN_BYTES = 4096;

/**
 * The most bytes that a container of this shape has: what the latent and its mask take in memory, and
 * a margin. Anything longer is no container of it, and need not be fetched.
 *
 * @param shape `[C, T, H, W]`
 */
export function mostContainerBytes(shape: readonly number[]): number {
  const positions = elementCount(shape.slice(1));
  return CONTAINER_MARGIN_BYTES + 4 * (elementCount(shape) + positions);
}

/** Where a section lies in the file. */
export interface SectionPlace {
  /** From the beginning of the file. */
  offset: number;
  bytes: number;
  crc32: number;
}

/** What a container says of itself. */
export interface LatentHeader {
  bits: BitDepth;
  entropy: EntropyCoding;
  extents: LatentExtents;
  /** 32 hexadecimal digits. */
  compatibility: string;
  /** Quantisation step of each channel. */
  steps: Float32Array;
  sections: Readonly<Record<SectionName, SectionPlace>>;
  /** Of the whole file. */
  bytes: number;
}

/** What is compared of a compatibility key: 32 hexadecimal digits. */
export function compatibilityDigest(compatibilityKey: string): string {
  return createHash('sha256')
    .update(compatibilityKey)
    .digest('hex')
    .slice(0, 2 * COMPATIBILITY_BYTES);
}

/**
 * Reads and checks the header of a container.
 *
 * @param bytes the file, or at least its first `HEADER_READ_BYTES`
 * @throws LatentFormatError `latent_foreign` when it is no container of this version, or of another
 * compatibility key or shape, `latent_corrupt` when it is damaged.
 */
export function readHeader(
  bytes: Uint8Array,
  { compatibilityKey, shape }: ExpectedLatent,
): LatentHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < STEPS_OFFSET + CHECKSUM_BYTES) {
    throw new LatentFormatError('latent_corrupt', `latent of ${bytes.length} bytes has no header`);
  }
  const magic = Buffer.from(bytes.subarray(0, MAGIC.length)).toString('latin1');
  if (magic !== MAGIC || view.getUint8(3) !== VERSION) {
    throw new LatentFormatError(
      'latent_foreign',
      `not a latent container of version ${VERSION}: it begins with ${JSON.stringify(magic)}`,
    );
  }
  const channels = view.getUint16(6, true);
  const checkedBytes = STEPS_OFFSET + 2 * channels;
  if (
    bytes.length < checkedBytes + CHECKSUM_BYTES ||
    view.getUint32(checkedBytes, true) !== crc32(bytes.subarray(0, checkedBytes))
  ) {
    throw new LatentFormatError('latent_corrupt', 'the header of the latent is damaged');
  }
  const compatibility = Buffer.from(bytes.subarray(COMPATIBILITY_OFFSET, SECTIONS_OFFSET)).toString(
    'hex',
  );
  if (compatibility !== compatibilityDigest(compatibilityKey)) {
    throw new LatentFormatError(
      'latent_foreign',
      'the latent was made by another model, geometry or scheduler',
    );
  }
  const extents: LatentExtents = {
    channels,
    frames: view.getUint16(8, true),
    height: view.getUint16(10, true),
    width: view.getUint16(12, true),
  };
  if (shape !== undefined) requireShape(extents, shape);
  const bits = BIT_DEPTHS.find((depth) => depth === view.getUint8(4));
  const entropy = (['range', 'zstd'] as const).find(
    (name) => ENTROPY_CODES[name] === view.getUint8(5),
  );
  if (bits === undefined || entropy === undefined) {
    throw new LatentFormatError('latent_foreign', 'the latent uses a coding that is not known');
  }
  const steps = Float32Array.from({ length: channels }, (_, channel) =>
    expandStep(view.getUint16(STEPS_OFFSET + 2 * channel, true)),
  );
  if (steps.some((step) => !(step >= 0 && Number.isFinite(step)))) {
    throw new LatentFormatError('latent_corrupt', 'the latent has a step that is no size');
  }
  let offset = checkedBytes + CHECKSUM_BYTES;
  const places = SECTION_NAMES.map((_, index) => {
    const at = SECTIONS_OFFSET + 8 * index;
    const place = {
      offset,
      bytes: view.getUint32(at, true),
      crc32: view.getUint32(at + 4, true),
    };
    offset += place.bytes;
    return place;
  });
  if (shape !== undefined && offset > mostContainerBytes(shape)) {
    throw new LatentFormatError('latent_corrupt', `a latent of ${offset} bytes is too long`);
  }
  const [mask, object, background] = places;
  return {
    bits,
    entropy,
    extents,
    compatibility,
    steps,
    sections: { mask: mask!, object: object!, background: background! },
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
    `the latent says that its shape is [${found.join(', ')}]; the model's is [${shape.join(', ')}]`,
  );
}

/** What `writeContainer` puts together. */
export interface ContainerContent {
  bits: BitDepth;
  entropy: EntropyCoding;
  extents: LatentExtents;
  compatibilityKey: string;
  /** Each must survive `roundStepUp` unchanged. */
  steps: Float32Array;
  sections: Readonly<Record<SectionName, Uint8Array>>;
}

/** The bytes of a container. */
export function writeContainer(content: ContainerContent): Uint8Array {
  const { extents, steps, sections } = content;
  const checkedBytes = STEPS_OFFSET + 2 * extents.channels;
  const payloads = SECTION_NAMES.map((name) => sections[name]);
  const payloadBytes = payloads.reduce((sum, payload) => sum + payload.length, 0);
  const file = new Uint8Array(checkedBytes + CHECKSUM_BYTES + payloadBytes);
  const view = new DataView(file.buffer);
  file.set(Buffer.from(MAGIC, 'latin1'));
  view.setUint8(3, VERSION);
  view.setUint8(4, content.bits);
  view.setUint8(5, ENTROPY_CODES[content.entropy]);
  view.setUint16(6, extents.channels, true);
  view.setUint16(8, extents.frames, true);
  view.setUint16(10, extents.height, true);
  view.setUint16(12, extents.width, true);
  file.set(Buffer.from(compatibilityDigest(content.compatibilityKey), 'hex'), COMPATIBILITY_OFFSET);
  let offset = checkedBytes + CHECKSUM_BYTES;
  for (const [index, payload] of payloads.entries()) {
    view.setUint32(SECTIONS_OFFSET + 8 * index, payload.length, true);
    view.setUint32(SECTIONS_OFFSET + 8 * index + 4, crc32(payload), true);
    file.set(payload, offset);
    offset += payload.length;
  }
  for (const [channel, step] of steps.entries()) {
    view.setUint16(STEPS_OFFSET + 2 * channel, shortenStep(step), true);
  }
  view.setUint32(checkedBytes, crc32(file.subarray(0, checkedBytes)), true);
  return file;
}

/** The smallest step that the header can hold and that is not below this one. */
export function roundStepUp(step: number): number {
  const shortened = shortenStep(step);
  const expanded = expandStep(shortened);
  return expanded >= step ? expanded : expandStep(shortened + 1);
}

function shortenStep(step: number): number {
  return new Uint32Array(Float32Array.of(step).buffer)[0]! >>> 16;
}

function expandStep(shortened: number): number {
  return new Float32Array(Uint32Array.of(shortened * 65536).buffer)[0]!;
}
