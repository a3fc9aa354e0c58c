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

/** A stored latent with its parts. All latents are `[C, T, H, W]`, the masks `[T, H, W]` of 0 and 1. */
export interface DecodedLatent {
  /** The object on its own background: the donor of a `whole` hit. */
  whole: Tensor;
  /** 0 outside the dilated mask. */
  readonly object: Tensor;
  /** Hole-filled. */
  readonly background: Tensor;
  mask: Tensor;
  dilatedMask: Tensor;
  /** Variance of the noise that is in every value of `whole`; 0 unless it was read for re-noising. */
  errorVariance: number;
}

export interface DecodeOptions {
  /** Read so many layers only, of a file or of its beginning; all of them unless given. */
  layers?: number;
  /**
   * Read for re-noising, with this seed: the error of every value is noise that does not depend on the
   * value, of variance `errorVariance`. Unless given, the error is as small as can be and tends to smooth.
   */
  noiseSeed?: number;
}

/**
 * Reads a container.
 *
 * @param file the whole file; the first `prefixBytes` (header.ts) of it are enough for fewer layers
 * @throws LatentFormatError `latent_foreign` when it belongs to another model or shape or is no
 * container, `latent_corrupt` when it is torn or altered. Never yields a wrong tensor, and takes memory
 * by `expected.shape`, whatever the file says.
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

/** A whole whose parts are made when somebody first asks for them: many readers need one of them or none. */
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
