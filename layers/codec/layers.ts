/**
 * The layers of a stored latent. Each divides the cells of the one before; whoever reads the first layers
 * alone has a coarser latent, not a part of one.
 */

/** Width of the first layer's cells. Noise of the variance of time .59 is as large as their error. */
export const FIRST_CELL = 5;

/** How often the first layer's cells were halved, by layer. */
export const LAYER_HALVINGS = [0, 2, 3] as const;
export const LAYERS: number = LAYER_HALVINGS.length;

/**
 * Coefficients expected to be smaller than this share of a cell are coded with a dead zone of three cells
 * and without dither: dithered, each would cost about a bit in ten and say nothing. Measured, as the other
 * constants here, on latents of the demo package (docs/codec.md).
 */
export const DEAD_ZONE_SHARES = [0.035, 0.06, 0.35] as const;

/** Variance of the error of a latent that is read for re-noising, for each value of it. */
export function errorVariance(layers: number, firstCell: number = FIRST_CELL): number {
  return (firstCell / 2 ** LAYER_HALVINGS[layers - 1]!) ** 2 / 12;
}

/**
 * How many layers of a donor a run must read. At time t a latent `z` stands as `(1 - t) z + t noise`, so an
 * error of `z` up to the variance `(t / (1 - t))^2` can pass for noise.
 *
 * @param lowestTime the lowest noise level, 0..1, at which the run takes the donor's values; 0 where they are shown
 */
export function layersFor(lowestTime: number): number {
  if (lowestTime >= 1) return 1;
  const hidden = (lowestTime / (1 - lowestTime)) ** 2;
  for (let layers = 1; layers < LAYERS; layers++) {
    if (errorVariance(layers) <= hidden) return layers;
  }
  return LAYERS;
}
