/** Smaller videos are enlarged to this side: players enlarge without smoothing, or not at all. */
export const SHOWN_SIDE_PIXELS = 384;

/** Pixels. */
export interface Extent {
  width: number;
  height: number;
}

/** Extent of the file that a video of a model becomes. */
export function shownSize(made: Extent): Extent {
  return scaledToSide(made, Math.max(SHOWN_SIDE_PIXELS, Math.min(made.width, made.height)));
}

/** With this many pixels on the shorter side, to even sides in any case: H.264 has no odd ones. */
export function scaledToSide({ width, height }: Extent, side: number): Extent {
  const factor = side / Math.min(width, height);
  return { width: evenly(width * factor), height: evenly(height * factor) };
}

function evenly(extent: number): number {
  return 2 * Math.round(extent / 2);
}
