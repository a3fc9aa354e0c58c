import { dilate, latentExtents } from '#core/compose.ts';
import { InvalidInputError } from '#core/errors.ts';
import type { Tensor } from '#core/tensor.ts';
import { BIT_DEPTHS, roundStepUp, writeContainer, type BitDepth } from './header.ts';
import { encodeMask } from './mask-coding.ts';
import { encodeSection, type EntropyCoding } from './section.ts';

const LARGEST_EXTENT = 65535;

/** A clean latent with its object mask. */
export interface LatentToEncode {
  /** `[C, T, H, W]`, finite numbers. */
  latent: Tensor;
  /** `[T, H, W]`, object where > 0; not dilated. */
  mask: Tensor;
  compatibilityKey: string;
}

export interface EncodeOptions {
  /** Each channel's largest value is this many bits wide, sign included. */
  bits: BitDepth;
  /** `range` unless said. */
  entropy?: EntropyCoding;
}

/**
 * Writes a latent as a container: what lies inside the dilated mask as the object section, the rest
 * as the background section. Along time every error is at most `DEAD_ZONE_STEPS` quantisation steps
 * a coefficient, so a value is off by at most that times the square root of the frames.
 *
 * @throws InvalidInputError when a shape is wrong, a number is not finite or the bit depth is unknown.
 */
export function encodeLatent(
  { latent, mask, compatibilityKey }: LatentToEncode,
  { bits, entropy = 'range' }: EncodeOptions,
): Uint8Array {
  const extents = latentExtents(latent, mask);
  if (Object.values(extents).some((extent) => extent < 1 || extent > LARGEST_EXTENT)) {
    throw new InvalidInputError(
      'latent',
      `latent has shape [${latent.shape.join(', ')}]`,
      `give extents from 1 to ${LARGEST_EXTENT}`,
    );
  }
  if (!BIT_DEPTHS.includes(bits)) {
    throw new InvalidInputError(
      'bits',
      `bit depth ${bits} is not known`,
      `use one of ${BIT_DEPTHS.join(', ')}`,
    );
  }
  const steps = quantisationSteps(latent.data, extents.channels, bits);
  const object = Uint8Array.from(mask.data, (value) => (value > 0 ? 1 : 0));
  const inside = Uint8Array.from(dilate(mask).data);
  const outside = inside.map((value) => 1 - value);
  const coding = { extents, steps, bits, entropy };
  return writeContainer({
    bits,
    entropy,
    extents,
    compatibilityKey,
    steps,
    sections: {
      mask: encodeMask(object, extents),
      object: encodeSection(latent.data, { ...coding, inside }),
      background: encodeSection(latent.data, { ...coding, inside: outside }),
    },
  });
}

/** Symmetric: the channel's largest magnitude is the largest number of `bits` bits. */
function quantisationSteps(data: Float32Array, channels: number, bits: BitDepth): Float32Array {
  const largestSymbol = 2 ** (bits - 1) - 1;
  const channelValues = data.length / channels;
  return Float32Array.from({ length: channels }, (_, channel) => {
    let largest = 0;
    for (let index = channel * channelValues; index < (channel + 1) * channelValues; index++) {
      const size = Math.abs(data[index]!);
      if (!Number.isFinite(size)) {
        throw new InvalidInputError(
          'latent',
          `latent has ${data[index]} in channel ${channel}`,
          'store finite latents only; the denoiser failed',
        );
      }
      if (size > largest) largest = size;
    }
    return roundStepUp(largest / largestSymbol);
  });
}
