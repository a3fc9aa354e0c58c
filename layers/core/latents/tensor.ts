/** A dense float32 tensor in row-major order. `data.length` is the product of `shape`. */
export interface Tensor {
  data: Float32Array;
  /** For latents `[C, T, H, W]`; for masks `[T, H, W]`; for videos `[F, 3, H, W]` in 0..1. */
  shape: readonly number[];
}

/** A velocity or latent of a denoiser that also reports its attention to the prompt's object. */
export interface AttendedTensor extends Tensor {
  /**
   * `[T, H, W]`, not negative; larger values are likelier object. For a velocity, the map of its
   * own evaluation; for a latent, the sum over its evaluations (`addObjectMap`). Absent if the
   * denoiser reports none.
   */
  objectMap?: Tensor;
}

/** Counts the elements of a tensor of this shape. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, extent) => product * extent, 1);
}
