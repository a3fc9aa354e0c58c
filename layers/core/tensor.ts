/** A dense float32 tensor in row-major order. `data.length` is the product of `shape`. */
export interface Tensor {
  data: Float32Array;
  /** For latents `[C, T, H, W]`; for masks `[T, H, W]`; for videos `[F, 3, H, W]` in 0..1. */
  shape: readonly number[];
}

/** Number of elements of a tensor of this shape. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, extent) => product * extent, 1);
}
