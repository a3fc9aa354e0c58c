import sharp from 'sharp';
import type { Tensor } from '#core/latents/tensor.ts';
import { scaledToSide, shownSize } from '#core/requests/shown-size.ts';
import { encodeMp4 } from './encode-mp4.ts';
import { resizeFrames, toFrames, type Frames } from './frames.ts';

const WEBP_QUALITY = 82;
/** Of 0..6; 2 halves the time of the default for a few percent more bytes. */
const WEBP_EFFORT = 2;

/** Frames of the animation and the spritesheet have this shorter side. */
export const PREVIEW_SIDE_PIXELS = 192;
const SPRITES_PER_ROW = 4;
const JPEG_QUALITY = 85;

/** The files that one video becomes. */
export interface VideoMedia {
  /** H.264 in MP4; equal videos are equal bytes. */
  mp4: Uint8Array;
  /** Small animated WebP that repeats for ever. */
  webp: Uint8Array;
  /** PNG of the middle frame. */
  png: Uint8Array;
  /** JPEG of all frames, from left to right and downwards; cells left over are black. */
  spritesheet: Uint8Array;
}

/**
 * Encodes a video `[F, 3, H, W]` in 0..1.
 *
 * @throws InvalidInputError when the tensor is not a video.
 */
export async function encodeMedia(video: Tensor, framesPerSecond: number): Promise<VideoMedia> {
  const original = toFrames(video);
  const [shown, small] = await Promise.all([
    showFrames(original, framesPerSecond),
    previewFrames(original, framesPerSecond),
  ]);
  return { ...shown, ...small };
}

/** The files in the size that a video is shown in. */
async function showFrames(
  original: Frames,
  framesPerSecond: number,
): Promise<Pick<VideoMedia, 'mp4' | 'png'>> {
  const frames = await resizeFrames(original, shownSize(original));
  const [mp4, png] = await Promise.all([encodeMp4(frames, framesPerSecond), encodePng(frames)]);
  return { mp4, png };
}

async function previewFrames(
  original: Frames,
  framesPerSecond: number,
): Promise<Pick<VideoMedia, 'webp' | 'spritesheet'>> {
  const frames = await resizeFrames(original, scaledToSide(original, PREVIEW_SIDE_PIXELS));
  const [webp, spritesheet] = await Promise.all([
    encodeWebp(frames, framesPerSecond),
    encodeSpritesheet(frames),
  ]);
  return { webp, spritesheet };
}

/** An animation of all frames. */
export async function encodeWebp(
  { width, height, rgb }: Frames,
  framesPerSecond: number,
): Promise<Uint8Array> {
  return sharp(Buffer.concat(rgb), {
    raw: { width, height: height * rgb.length, channels: 3, pageHeight: height },
    animated: true,
  })
    .webp({
      quality: WEBP_QUALITY,
      effort: WEBP_EFFORT,
      loop: 0,
      delay: rgb.map(() => Math.round(1000 / framesPerSecond)),
    })
    .toBuffer();
}

/** The frame in the middle. */
export async function encodePng({ width, height, rgb }: Frames): Promise<Uint8Array> {
  const middle = rgb[Math.floor(rgb.length / 2)]!;
  return sharp(middle, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
}

/** All frames beside and below each other. */
export async function encodeSpritesheet({ width, height, rgb }: Frames): Promise<Uint8Array> {
  const rows = Math.ceil(rgb.length / SPRITES_PER_ROW);
  const rowBytes = width * SPRITES_PER_ROW * 3;
  const sheet = new Uint8Array(rowBytes * height * rows);
  for (const [index, frame] of rgb.entries()) {
    const corner =
      Math.floor(index / SPRITES_PER_ROW) * height * rowBytes +
      (index % SPRITES_PER_ROW) * width * 3;
    for (let y = 0; y < height; y++) {
      sheet.set(frame.subarray(y * width * 3, (y + 1) * width * 3), corner + y * rowBytes);
    }
  }
  return sharp(sheet, {
    raw: { width: width * SPRITES_PER_ROW, height: height * rows, channels: 3 },
  })
    .jpeg({ quality: JPEG_QUALITY })
    .toBuffer();
}
