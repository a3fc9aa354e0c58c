import { crc32 } from 'node:zlib';
import { dilate, fillDilatedHoles, latentInside } from '#core/latents/compose.ts';
import { LatentFormatError } from '#core/errors.ts';
import type { Tensor } from '#core/latents/tensor.ts';
import { layOutBlocks } from './blocks.ts';
import { ditherOf, fillOf } from './dither.ts';
import { readHeader, requireLength, type ExpectedLatent } from './header.ts';
import { LayeredCoefficients } from './layer-coder.ts';
import { errorVariance, LAYERS } from './layers.ts';
import { decodeMask } from './mask-coding.ts';
import { RangeDecoder } from './range-coder.ts';
import { fromCoefficients } from './transform.ts';

/**
 * A stored latent with its parts. All latents are `[C, T, H, W]`, the masks `[T, H, W]` of 0 and 1.
 */
export interface DecodedLatent {
  /** The object on its own background: the donor of a `whole` hit. */
  whole: Tensor;
  /** Object only; 0 outside the dilated mask. */
  readonly object: Tensor;
  /** Background with its hole filled. */
  readonly background: Tensor;
  mask: Tensor;
  dilatedMask: Tensor;
  /**
   * Variance of the quantization noise in every value of `whole`; 0 unless decoded for re-noising.
   */
  errorVariance: number;
}

export interface DecodeOptions {
  /** Decodes only so many layers, of a file or its prefix; all by default. */
  layers?: number;
  /**
   * Seed for re-noising: the error of every value is then noise independent of the value, with
   * variance `errorVariance`. By default, the error is minimal and biased toward smoothness.
   */
  noiseSeed?: number;
}

/**
 * Decodes a container.
 *
 * @param file the whole file; its first `prefixBytes` (header.ts) are enough for fewer layers
 * @throws LatentFormatError `latent_foreign` if it belongs to another model or shape or is not a
 * container, `latent_corrupt` if it is truncated or altered. Never returns a wrong tensor, and
 * allocates memory by `expected.shape`, whatever the file says.
 */
export function decodeLatent(
  file: Uint8Array,
  expected: ExpectedLatent,
  { layers = LAYERS, noiseSeed }: DecodeOptions = {},
): DecodedLatent {
  const header = readHeader(file, expected);
  const { extents, firstCell } = header;
  if (layers === LAYERS) requireLength(header, file.length);
  const codes = header.layers.slice(0, layers).map((place, layer) => {
    const bytes = file.subarray(place.offset, place.offset + place.bytes);
    if (bytes.length === place.bytes && crc32(bytes) === place.crc32) return bytes;
    throw new LatentFormatError('latent_corrupt', `layer ${layer} of the latent is damaged`);
  });
  const { channels, frames, height, width } = extents;
  const mask: Tensor = {
    data: new Float32Array(decodeMask(codes[0]!.subarray(0, header.maskBytes), extents)),
    shape: [frames, height, width],
  };
  const layout = layOutBlocks(extents);
  const coded = new LayeredCoefficients(layout, firstCell, ditherOf(header.seed, layout.count));
  for (const [layer, code] of codes.entries()) {
    const body = layer === 0 ? code.subarray(header.maskBytes) : code;
    coded.codeLayer(new RangeDecoder(body), null);
  }
  const fill = noiseSeed === undefined ? null : fillOf(noiseSeed, layout.count);
  const whole: Tensor = {
    data: fromCoefficients(coded.reconstruct(fill), layout),
    shape: [channels, frames, height, width],
  };
  return new WholeLatent(whole, mask, fill === null ? 0 : errorVariance(layers, firstCell));
}

/**
 * A whole latent that computes its parts on first access: many readers need one of them or none.
 */
class WholeLatent implements DecodedLatent {
  readonly whole: Tensor;
  readonly mask: Tensor;
  readonly dilatedMask: Tensor;
  readonly errorVariance: number;
  #object: Tensor | undefined;
  #background: Tensor | undefined;

  constructor(whole: Tensor, mask: Tensor, variance: number) {
    this.whole = whole;
    this.mask = mask;
    this.dilatedMask = dilate(mask);
    this.errorVariance = variance;
  }

  get object(): Tensor {
    return (this.#object ??= latentInside(this.whole, this.dilatedMask));
  }

  get background(): Tensor {
    return (this.#background ??= fillDilatedHoles(this.whole, this.dilatedMask));
  }
}
