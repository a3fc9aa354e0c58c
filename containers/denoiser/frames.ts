import sharp from 'sharp';
import { InvalidInputError } from '#core/errors.ts';
import type { Extent } from '#core/requests/shown-size.ts';
import type { Tensor } from '#core/latents/tensor.ts';

/** 8-bit RGB frames of one size. */
export interface Frames extends Extent {
  rgb: Uint8Array[];
}

/**
 * Frames of a video `[F, 3, H, W]` in 0..1; numbers outside are clamped.
 *
 * @throws InvalidInputError when the tensor is not a video.
 */
export function toFrames({ data, shape }: Tensor): Frames {
  const [count, channels, height, width] = shape;
  if (shape.length !== 4 || channels !== 3 || data.length !== count! * 3 * height! * width!) {
    throw new InvalidInputError(
      'video',
      `video has shape [${shape.join(', ')}] and ${data.length} numbers`,
      'give frames [F, 3, H, W] in 0..1',
    );
  }
  const pixels = height! * width!;
  const rgb = Array.from({ length: count! }, (_, frame) => {
    const start = frame * 3 * pixels;
    return interleave(data.subarray(start, start + 3 * pixels), pixels);
  });
  return { width: width!, height: height!, rgb };
}

function interleave(planes: Float32Array, pixels: number): Uint8Array {
  // A clamped array rounds what it is given.
  const bytes = new Uint8ClampedArray(pixels * 3);
  for (let pixel = 0, byte = 0; pixel < pixels; pixel++) {
    bytes[byte++] = planes[pixel]! * 255;
    bytes[byte++] = planes[pixel + pixels]! * 255;
    bytes[byte++] = planes[pixel + 2 * pixels]! * 255;
  }
  return new Uint8Array(bytes.buffer);
}

/** The same frames in another size. */
export async function resizeFrames(frames: Frames, size: Extent): Promise<Frames> {
  const { width, height, rgb } = frames;
  if (width === size.width && height === size.height) return frames;
  const resized = await Promise.all(
    rgb.map((frame) =>
      sharp(frame, { raw: { width, height, channels: 3 } })
        .resize({ width: size.width, height: size.height, kernel: 'lanczos3', fit: 'fill' })
        .raw()
        .toBuffer(),
    ),
  );
  return { width: size.width, height: size.height, rgb: resized };
}
