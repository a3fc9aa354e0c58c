import type { ObjectDonor } from '#core/compose.ts';
import type { Tensor } from '#core/tensor.ts';

/** What a latent container holds: the two parts of one clean latent. */
export interface DecodedLatent extends ObjectDonor {
  /** `[C, T, H, W]`, hole-filled. */
  background: Tensor;
}

/** Latents of one compatibility key as bytes. */
export interface LatentCodec {
  /** @param mask `[T, H, W]`, object where > 0 */
  encode(latent: Tensor, mask: Tensor): Uint8Array | Promise<Uint8Array>;
  /** @throws LatentFormatError when the container is torn, altered or of another compatibility key. */
  decode(container: Uint8Array): DecodedLatent | Promise<DecodedLatent>;
}
