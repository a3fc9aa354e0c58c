import type { Extent } from '#core/requests/shown-size.ts';

/**
 * Full-range RGB to studio-range Y'CbCr of ITU-R BT.601, in fixed point with 16 fractional bits: what
 * players assume of H.264 that says nothing about its colours.
 */
const FRACTION_BITS = 16;
const Y_RED = coefficient(65.481);
const Y_GREEN = coefficient(128.553);
const Y_BLUE = coefficient(24.966);
const CB_RED = coefficient(-37.797);
const CB_GREEN = coefficient(-74.203);
const CB_BLUE = coefficient(112);
const CR_RED = coefficient(112);
const CR_GREEN = coefficient(-93.786);
const CR_BLUE = coefficient(-18.214);
/** The offset of a plane, and one half for rounding. */
const Y_OFFSET = (16 + 0.5) * 2 ** FRACTION_BITS;
/** Chroma is the mean of four pixels: two bits more. */
const CHROMA_BITS = FRACTION_BITS + 2;
const CHROMA_OFFSET = (128 + 0.5) * 2 ** CHROMA_BITS;

function coefficient(of255: number): number {
  return Math.round((of255 / 255) * 2 ** FRACTION_BITS);
}

/**
 * Planes Y, Cb and Cr of one 8-bit RGB frame, one behind the other; Cb and Cr have half the width and
 * height, each value the mean of four pixels.
 *
 * @param size even sides
 */
export function toYuv420(rgb: Uint8Array, { width, height }: Extent): Uint8Array {
  const pixels = width * height;
  const planes = new Uint8Array((pixels * 3) / 2);
  let cb = pixels;
  let cr = pixels + pixels / 4;
  for (let y = 0; y < height; y += 2) {
    for (let x = 0; x < width; x += 2) {
      let red = 0;
      let green = 0;
      let blue = 0;
      for (let corner = 0; corner < 4; corner++) {
        const pixel = (y + (corner >> 1)) * width + x + (corner & 1);
        const r = rgb[3 * pixel]!;
        const g = rgb[3 * pixel + 1]!;
        const b = rgb[3 * pixel + 2]!;
        planes[pixel] = (Y_RED * r + Y_GREEN * g + Y_BLUE * b + Y_OFFSET) >> FRACTION_BITS;
        red += r;
        green += g;
        blue += b;
      }
      planes[cb++] =
        (CB_RED * red + CB_GREEN * green + CB_BLUE * blue + CHROMA_OFFSET) >> CHROMA_BITS;
      planes[cr++] =
        (CR_RED * red + CR_GREEN * green + CR_BLUE * blue + CHROMA_OFFSET) >> CHROMA_BITS;
    }
  }
  return planes;
}
