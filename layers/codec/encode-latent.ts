import { crc32 } from 'node:zlib';
import { latentExtents } from '#core/latents/compose.ts';
import { InvalidInputError } from '#core/errors.ts';
import type { Tensor } from '#core/latents/tensor.ts';
import { layOutBlocks } from './blocks.ts';
import { ditherOf } from './dither.ts';
import { roundCellUp, WIDEST_CELL, writeContainer } from './header.ts';
import { LayeredCoefficients } from './layer-coder.ts';
import { FIRST_CELL, LAYERS } from './layers.ts';
import { encodeMask } from './mask-coding.ts';
import { RangeEncoder } from './range-coder.ts';
import { toCoefficients } from './transform.ts';

const MAX_EXTENT = 65535;
/** Cells are counted in 32 bits; larger coefficients get wider cells. */
const MAX_CELLS = 2 ** 20;

/** A clean latent with its object mask. */
export interface LatentToEncode {
  /** `[C, T, H, W]`, finite numbers. */
  latent: Tensor;
  /** `[T, H, W]`, object where > 0; not dilated. */
  mask: Tensor;
  compatibilityKey: string;
}

export interface EncodeOptions {
  /** Width of the first layer's cells; default `FIRST_CELL`. Only benchmarks set it. */
  firstCell?: number;
}

/**
 * Encodes a latent as a container: the mask and, in three layers, the quantized coefficients of a
 * cosine transform of the whole. The same latent gives the same bytes.
 *
 * @throws InvalidInputError if a shape is wrong or a number is not finite or far too large
 */
export function encodeLatent(
  { latent, mask, compatibilityKey }: LatentToEncode,
  { firstCell: wantedCell = FIRST_CELL }: EncodeOptions = {},
): Uint8Array {
  const extents = latentExtents(latent, mask);
  if (Object.values(extents).some((extent) => extent < 1 || extent > MAX_EXTENT)) {
    throw new InvalidInputError(
      'latent',
      `latent has shape [${latent.shape.join(', ')}]`,
      `give extents from 1 to ${MAX_EXTENT}`,
    );
  }
  requireFinite(latent.data, extents.channels);
  const layout = layOutBlocks(extents);
  const coefficients = toCoefficients(latent.data, layout);
  const firstCell = roundCellUp(Math.max(wantedCell, largestOf(coefficients) / MAX_CELLS));
  if (!(firstCell <= WIDEST_CELL)) {
    throw new InvalidInputError(
      'latent',
      'latent has values beyond 1e12',
      'store only latents of about unit variance; the denoiser failed',
    );
  }
  const { data } = latent;
  const seed = crc32(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  const coded = new LayeredCoefficients(layout, firstCell, ditherOf(seed, layout.count));
  const maskCode = encodeMask(objectOf(mask.data), extents);
  const layers = Array.from({ length: LAYERS }, (_, layer) => {
    const encoder = new RangeEncoder();
    coded.codeLayer(encoder, coefficients);
    const code = encoder.finish();
    return layer === 0 ? new Uint8Array(Buffer.concat([maskCode, code])) : code;
  });
  const maskBytes = maskCode.length;
  return writeContainer({ extents, compatibilityKey, seed, firstCell, maskBytes, layers });
}

function requireFinite(data: Float32Array, channels: number): void {
  for (let index = 0; index < data.length; index++) {
    if (Number.isFinite(data[index])) continue;
    throw new InvalidInputError(
      'latent',
      `latent has ${data[index]} in channel ${Math.floor((index * channels) / data.length)}`,
      'store only finite latents; the denoiser failed',
    );
  }
}

/** Returns 1 where the mask is > 0. */
function objectOf(mask: Float32Array): Uint8Array {
  const object = new Uint8Array(mask.length);
  for (let at = 0; at < mask.length; at++) object[at] = mask[at]! > 0 ? 1 : 0;
  return object;
}

function largestOf(coefficients: Float32Array): number {
  let largest = 0;
  for (let at = 0; at < coefficients.length; at++) {
    const size = Math.abs(coefficients[at]!);
    if (!(size <= largest)) largest = size;
  }
  return largest;
}
