/**
 * The layers of a stored latent. Each divides the cells of the previous one; the first layers alone
 * decode to a coarser latent, not to a part of one.
 */

/** Cell width of the first layer. Its error has the variance of the noise at time .59. */
export const FIRST_CELL = 5;

/** Number of halvings of the first layer's cells, by layer. */
export const LAYER_HALVINGS = [0, 2, 3] as const;
export const LAYERS: number = LAYER_HALVINGS.length;

/**
 * Coefficients with an expected size below this share of a cell get a dead zone of three cells and
 * no dither: with dither, each would cost about a tenth of a bit without information. Like the
 * other constants here, measured on latents of the demo package (docs/codec.md).
 */
export const DEAD_ZONE_SHARES = [0.035, 0.06, 0.35] as const;

/** Computes the error variance per value of a latent decoded for re-noising. */
export function errorVariance(layers: number, firstCell: number = FIRST_CELL): number {
  return (firstCell / 2 ** LAYER_HALVINGS[layers - 1]!) ** 2 / 12;
}

/**
 * Computes how many layers of a donor a run must read. At time t a latent `z` enters as `(1 - t) z
 * + t noise`, so an error of `z` of variance up to `(t / (1 - t))^2` can replace noise.
 *
 * @param lowestTime the lowest noise level, 0..1, at which the run uses the donor's values; 0 if
 * they are visible
 */
export function layersFor(lowestTime: number): number {
  if (lowestTime >= 1) return 1;
  const hidden = (lowestTime / (1 - lowestTime)) ** 2;
  for (let layers = 1; layers < LAYERS; layers++) {
    if (errorVariance(layers) <= hidden) return layers;
  }
  return LAYERS;
}
