import type { Tensor } from '#core/latents/tensor.ts';

/** A latent as rivals store it: 16-bit floats. */
export interface HalfTensor {
  data: Float16Array;
  shape: readonly number[];
}

export const BYTES_PER_HALF = 2;

/** Rounds to half precision: what is restored has the error that a store of such floats has. */
export function toHalf({ data, shape }: Tensor): HalfTensor {
  return { data: new Float16Array(data), shape };
}

export function fromHalf({ data, shape }: HalfTensor): Tensor {
  return { data: new Float32Array(data), shape };
}
