import { averageAxis, evenEdges, frameEdges } from './area-average.ts';
import { dilate, fillDilatedHoles } from './compose.ts';
import type { LookupPart } from '../generation.ts';
import { elementCount, type Tensor } from './tensor.ts';

/** How to sample a video for an image encoder. */
export interface FrameSampling {
  /** Number of frames, spread evenly over the video; all frames of a shorter one. */
  frames: number;
  /** Pixels */
  height: number;
  width: number;
}

/** Downscaled frames of a video. */
export interface SampledFrames {
  /** `[3, N, h, w]` in 0..1 */
  pixels: Tensor;
  /** Their indices in the video, and its number of frames. */
  at: readonly number[];
  of: number;
}

/**
 * Samples and downscales frames. @param video `[F, 3, Hp, Wp]` in 0..1; each output pixel is the
 * mean of its area
 */
export function sampleFrames(
  { data, shape }: Tensor,
  { frames, height, width }: FrameSampling,
): SampledFrames {
  const [of, , rows, columns] = shape as [number, number, number, number];
  const count = Math.min(frames, of);
  const at = Array.from({ length: count }, (_, index) => Math.floor(((index + 0.5) * of) / count));
  const plane = rows * columns;
  const chosen = new Float32Array(3 * count * plane);
  for (const [index, frame] of at.entries()) {
    for (let channel = 0; channel < 3; channel++) {
      const start = (frame * 3 + channel) * plane;
      chosen.set(data.subarray(start, start + plane), (channel * count + index) * plane);
    }
  }
  const whole = { data: chosen, shape: [3, count, rows, columns] };
  const narrow = averageAxis(whole, 3, evenEdges(columns, width));
  return { pixels: averageAxis(narrow, 2, evenEdges(rows, height)), at, of };
}

/**
 * Shows a part in frames, as `objectPart` and `backgroundPart` do in latents: the object inside its
 * dilated mask on a uniform color; the background with the object's place filled.
 *
 * @param mask `[T, H, W]` of the latent, object where > 0; it is dilated here. Unused for the whole
 * @param blank the color, red, green and blue in 0..1
 * @returns `[3, N, h, w]`
 */
export function partOfFrames(
  frames: SampledFrames,
  mask: Tensor,
  part: LookupPart,
  blank: readonly number[],
): Tensor {
  const { pixels } = frames;
  if (part === 'whole') return pixels;
  const inside = maskOfFrames(frames, dilate(mask));
  if (part === 'background') return fillDilatedHoles(pixels, inside);
  const positions = inside.data.length;
  const data = pixels.data.map((value, index) =>
    inside.data[index % positions]! > 0 ? value : blank[Math.floor(index / positions)]!,
  );
  return { data, shape: pixels.shape };
}

/** Upsamples the mask of a latent to the pixels of frames, `[N, h, w]`. */
function maskOfFrames({ pixels, at, of }: SampledFrames, mask: Tensor): Tensor {
  const [, , height, width] = pixels.shape as [number, number, number, number];
  const [latentFrames, rows, columns] = mask.shape as [number, number, number];
  const edges = frameEdges(of, latentFrames);
  const shape = [at.length, height, width];
  const data = new Float32Array(elementCount(shape));
  let index = 0;
  for (const frame of at) {
    const latentFrame = edges.findLastIndex((edge) => edge <= frame);
    for (let y = 0; y < height; y++) {
      const row = latentFrame * rows + Math.floor(((y + 0.5) * rows) / height);
      for (let x = 0; x < width; x++) {
        data[index++] = mask.data[row * columns + Math.floor(((x + 0.5) * columns) / width)]!;
      }
    }
  }
  return { data, shape };
}
