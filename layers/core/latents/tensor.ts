/** A dense float32 tensor in row-major order. `data.length` is the product of `shape`. */
export interface Tensor {
  data: Float32Array;
  /** For latents `[C, T, H, W]`; for masks `[T, H, W]`; for videos `[F, 3, H, W]` in 0..1. */
  shape: readonly number[];
}

/** A velocity or a latent of a denoiser that also tells where it attends to the object of its prompt. */
export interface AttendedTensor extends Tensor {
  /**
   * `[T, H, W]`, not negative, the more the likelier the object: of a velocity the map of its own evaluation, of a
   * latent the sum over those that led to it (`addObjectMap`). Absent where the denoiser tells nothing.
   */
  objectMap?: Tensor;
}

/** Number of elements of a tensor of this shape. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, extent) => product * extent, 1);
}
