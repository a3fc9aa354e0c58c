import { crc32 } from 'node:zlib';
import { composeDonors, dilate, fillDilatedHoles } from '#core/compose.ts';
import { LatentFormatError } from '#core/errors.ts';
import type { Part } from '#core/generation.ts';
import type { Tensor } from '#core/tensor.ts';
import { readHeader, type ExpectedLatent, type LatentHeader, type SectionName } from './header.ts';
import { decodeMask } from './mask-coding.ts';
import { decodeSection } from './section.ts';

/** One part of a stored latent. */
export interface DecodedPart {
  /** `[C, T, H, W]`: the object on zeros, or the hole-filled background. */
  latent: Tensor;
  /** `[T, H, W]` of 0 and 1. */
  mask: Tensor;
  dilatedMask: Tensor;
}

/** A stored latent with its parts. All latents are `[C, T, H, W]`, the masks `[T, H, W]` of 0 and 1. */
export interface DecodedLatent {
  /** The object on its own background: the donor of a `whole` hit. */
  whole: Tensor;
  /** 0 outside the dilated mask. */
  object: Tensor;
  /** Hole-filled. */
  background: Tensor;
  mask: Tensor;
  dilatedMask: Tensor;
}

/**
 * Reads a container.
 *
 * @throws LatentFormatError `latent_foreign` when it belongs to another model or shape or is no
 * container, `latent_corrupt` when it is torn or altered. Never yields a wrong tensor, and takes memory
 * by `expected.shape`, whatever the file says.
 */
export function decodeLatent(file: Uint8Array, expected: ExpectedLatent): DecodedLatent {
  const header = readHeader(file, expected);
  if (file.length !== header.bytes) {
    throw new LatentFormatError(
      'latent_corrupt',
      `latent has ${file.length} bytes, its header says ${header.bytes}`,
    );
  }
  const section = (name: SectionName): Uint8Array => {
    const { offset, bytes } = header.sections[name];
    return file.subarray(offset, offset + bytes);
  };
  const maskBytes = section('mask');
  const object = decodePart(header, 'object', { mask: maskBytes, part: section('object') });
  const background = decodePart(header, 'background', {
    mask: maskBytes,
    part: section('background'),
  });
  const { mask, dilatedMask } = object;
  return {
    whole: composeDonors({ object: object.latent, dilatedMask }, background.latent),
    object: object.latent,
    background: background.latent,
    mask,
    dilatedMask,
  };
}

/**
 * Reads one part from its own bytes and the mask's, as ranged reads fetch them. `header.sections`
 * says where they lie.
 *
 * @throws LatentFormatError `latent_corrupt`.
 */
export function decodePart(
  header: LatentHeader,
  part: Part,
  bytes: { mask: Uint8Array; part: Uint8Array },
): DecodedPart {
  requireIntact(header, 'mask', bytes.mask);
  requireIntact(header, part, bytes.part);
  const { extents, steps, bits, entropy } = header;
  const { channels, frames, height, width } = extents;
  const mask: Tensor = {
    data: Float32Array.from(decodeMask(bytes.mask, extents)),
    shape: [frames, height, width],
  };
  const dilatedMask = dilate(mask);
  const isObject = part === 'object';
  const inside = Uint8Array.from(dilatedMask.data, (value) => (isObject ? value : 1 - value));
  const decoded: Tensor = {
    data: decodeSection(bytes.part, { extents, inside, steps, bits, entropy }),
    shape: [channels, frames, height, width],
  };
  return {
    latent: isObject ? decoded : fillDilatedHoles(decoded, dilatedMask),
    mask,
    dilatedMask,
  };
}

function requireIntact(header: LatentHeader, name: SectionName, bytes: Uint8Array): void {
  const { bytes: expectedBytes, crc32: expected } = header.sections[name];
  if (bytes.length === expectedBytes && crc32(bytes) === expected) return;
  throw new LatentFormatError('latent_corrupt', `the ${name} section of the latent is damaged`);
}
