import { createRequire } from 'node:module';
import type { H264MP4Encoder } from 'h264-mp4-encoder';
import sharp from 'sharp';
import type { Tensor } from '#core/tensor.ts';
import { InvalidInputError } from '#core/errors.ts';
import { scaledToSide, shownSize, type Extent } from '#core/shown-size.ts';
import { finishMp4 } from './mp4-boxes.ts';

/** Of 10..51, lower is better; 18 is what x264 calls visually lossless. */
const QUANTIZATION = 18;
const WEBP_QUALITY = 82;
/** Of 0..6; 2 halves the time of the default for a few percent more bytes. */
const WEBP_EFFORT = 2;

/** The spritesheet's frames have this shorter side, four to a row. */
const SPRITE_SIDE_PIXELS = 192;
const SPRITES_PER_ROW = 4;
const JPEG_QUALITY = 85;

/** The files that one video becomes. */
export interface VideoMedia {
  /** H.264 in MP4; equal videos are equal bytes. */
  mp4: Uint8Array;
  /** Animated WebP that repeats for ever. */
  webp: Uint8Array;
  /** PNG of the middle frame. */
  png: Uint8Array;
  /** JPEG of all frames, from left to right and downwards; cells left over are black. */
  spritesheet: Uint8Array;
}

/** 8-bit RGB frames of one size. */
interface Frames {
  width: number;
  height: number;
  rgb: Buffer[];
}

/**
 * Encodes a video `[F, 3, H, W]` in 0..1.
 *
 * @throws InvalidInputError when the tensor is not a video.
 */
export async function encodeMedia(video: Tensor, framesPerSecond: number): Promise<VideoMedia> {
  const original = toFrames(video);
  const frames = await resize(original, shownSize(original));
  const [mp4, webp, png, spritesheet] = await Promise.all([
    encodeMp4(frames, framesPerSecond),
    encodeWebp(frames, framesPerSecond),
    encodePng(frames),
    encodeSpritesheet(await resize(original, scaledToSide(original, SPRITE_SIDE_PIXELS))),
  ]);
  return { mp4, webp, png, spritesheet };
}

function toFrames(video: Tensor): Frames {
  const [count, channels, height, width] = video.shape;
  if (
    video.shape.length !== 4 ||
    channels !== 3 ||
    video.data.length !== count! * 3 * height! * width!
  ) {
    throw new InvalidInputError(
      'video',
      `video has shape [${video.shape.join(', ')}] and ${video.data.length} numbers`,
      'give frames [F, 3, H, W] in 0..1',
    );
  }
  const pixels = height! * width!;
  const rgb = Array.from({ length: count! }, (_, frame) => {
    const bytes = Buffer.alloc(pixels * 3);
    for (let channel = 0; channel < 3; channel++) {
      const start = (frame * 3 + channel) * pixels;
      for (let pixel = 0; pixel < pixels; pixel++) {
        const value = video.data[start + pixel]!;
        bytes[pixel * 3 + channel] = Math.round(Math.min(1, Math.max(0, value)) * 255);
      }
    }
    return bytes;
  });
  return { width: width!, height: height!, rgb };
}

async function resize({ width, height, rgb }: Frames, size: Extent): Promise<Frames> {
  const resized = await Promise.all(
    rgb.map((frame) =>
      sharp(frame, { raw: { width, height, channels: 3 } })
        .resize({ ...size, kernel: 'lanczos3', fit: 'fill' })
        .raw()
        .toBuffer(),
    ),
  );
  return { ...size, rgb: resized };
}

type EncoderModule = { createH264MP4Encoder: () => Promise<H264MP4Encoder> };

async function encodeMp4(
  { width, height, rgb }: Frames,
  framesPerSecond: number,
): Promise<Uint8Array> {
  // The package's CommonJS file has exports that Node's ESM loader does not see.
  const { createH264MP4Encoder } = createRequire(import.meta.url)(
    'h264-mp4-encoder',
  ) as EncoderModule;
  const encoder = await createH264MP4Encoder();
  try {
    encoder.outputFilename = `${crypto.randomUUID()}.mp4`;
    encoder.width = width;
    encoder.height = height;
    encoder.frameRate = framesPerSecond;
    encoder.quantizationParameter = QUANTIZATION;
    encoder.groupOfPictures = rgb.length;
    encoder.speed = 0;
    encoder.initialize();
    for (const frame of rgb) encoder.addFrameRgba(withAlpha(frame));
    encoder.finalize();
    const mp4 = encoder.FS.readFile(encoder.outputFilename);
    encoder.FS.unlink(encoder.outputFilename);
    return finishMp4(mp4);
  } finally {
    encoder.delete();
  }
}

function withAlpha(rgb: Buffer): Uint8Array {
  const pixels = rgb.length / 3;
  const rgba = new Uint8Array(pixels * 4).fill(255);
  for (let pixel = 0; pixel < pixels; pixel++) {
    rgba.set(rgb.subarray(pixel * 3, pixel * 3 + 3), pixel * 4);
  }
  return rgba;
}

async function encodeWebp(
  { width, height, rgb }: Frames,
  framesPerSecond: number,
): Promise<Uint8Array> {
  const pages = Buffer.concat(rgb);
  return sharp(pages, {
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

async function encodePng({ width, height, rgb }: Frames): Promise<Uint8Array> {
  const middle = rgb[Math.floor(rgb.length / 2)]!;
  return sharp(middle, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
}

async function encodeSpritesheet({ width, height, rgb }: Frames): Promise<Uint8Array> {
  const rows = Math.ceil(rgb.length / SPRITES_PER_ROW);
  return sharp({
    create: {
      width: width * SPRITES_PER_ROW,
      height: height * rows,
      channels: 3,
      background: 'black',
    },
  })
    .composite(
      rgb.map((input, index) => ({
        input,
        raw: { width, height, channels: 3 },
        left: (index % SPRITES_PER_ROW) * width,
        top: Math.floor(index / SPRITES_PER_ROW) * height,
      })),
    )
    .jpeg({ quality: JPEG_QUALITY })
    .toBuffer();
}
