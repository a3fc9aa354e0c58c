import { findMp4Box, parseMp4Boxes } from '#denoiser/mp4-boxes.ts';
import type { Tensor } from '#core/latents/tensor.ts';

/** The little of WebCodecs (w3.org/TR/webcodecs) that decoding takes: no encoder's package has a decoder. */
export interface WebCodecs {
  VideoDecoder: new (options: {
    output: (frame: DecodedFrame) => void;
    error: (error: Error) => void;
  }) => {
    configure(options: {
      codec: string;
      codedWidth: number;
      codedHeight: number;
      description: Uint8Array;
    }): void;
    decode(chunk: unknown): void;
    flush(): Promise<void>;
  };
  EncodedVideoChunk: new (options: {
    type: 'key' | 'delta';
    timestamp: number;
    data: Uint8Array;
  }) => unknown;
}

interface DecodedFrame {
  allocationSize(): number;
  copyTo(buffer: Uint8Array): Promise<{ offset: number; stride: number }[]>;
  close(): void;
}

/** Decibels against a range of 1. */
export interface Quality {
  luma: number;
  rgb: number;
  /** Of the luma of the worst frame. */
  worstLuma: number;
}

/** How far an MP4 of `joinMp4` is from the video `[F, 3, H, W]`, of the same size, that it was made of. */
export async function decodedQuality(
  mp4: Uint8Array,
  video: Tensor,
  webCodecs: WebCodecs,
): Promise<Quality> {
  const [count, , height, width] = video.shape as [number, number, number, number];
  const frames = await decode(mp4, { width, height }, webCodecs);
  if (frames.length !== count) throw new Error(`${frames.length} of ${count} frames were decoded`);
  const lumas: number[] = [];
  let colours = 0;
  for (const [index, frame] of frames.entries()) {
    const size = frame.allocationSize();
    const bytes = new Uint8Array(size);
    const [y, cb, cr] = await frame.copyTo(bytes);
    frame.close();
    const pixels = width * height;
    const planes = video.data.subarray(index * 3 * pixels, (index + 1) * 3 * pixels);
    let luma = 0;
    for (let pixel = 0; pixel < pixels; pixel++) {
      const column = pixel % width;
      const row = (pixel - column) / width;
      const half = (row >> 1) * cb!.stride + (column >> 1);
      const red = planes[pixel]!;
      const green = planes[pixel + pixels]!;
      const blue = planes[pixel + 2 * pixels]!;
      const u = bytes[cb!.offset + half]! - 128;
      const v = bytes[cr!.offset + half]! - 128;
      const shown = bytes[y!.offset + row * y!.stride + column]! - 16;
      luma += ((shown - 65.481 * red - 128.553 * green - 24.966 * blue) / 255) ** 2;
      colours += (clamped((1.164383 * shown + 1.596027 * v) / 255) - red) ** 2;
      colours += (clamped((1.164383 * shown - 0.391762 * u - 0.812968 * v) / 255) - green) ** 2;
      colours += (clamped((1.164383 * shown + 2.017232 * u) / 255) - blue) ** 2;
    }
    lumas.push(luma / pixels);
  }
  const mean = lumas.reduce((sum, error) => sum + error, 0) / count;
  return {
    luma: decibels(mean),
    rgb: decibels(colours / video.data.length),
    worstLuma: decibels(Math.max(...lumas)),
  };
}

function clamped(value: number): number {
  return Math.min(1, Math.max(0, value));
}

function decibels(squaredError: number): number {
  return -10 * Math.log10(squaredError);
}

async function decode(
  mp4: Uint8Array,
  size: { width: number; height: number },
  { VideoDecoder, EncodedVideoChunk }: WebCodecs,
): Promise<DecodedFrame[]> {
  const table = findMp4Box(parseMp4Boxes(mp4), 'moov/trak/mdia/minf/stbl');
  const entry = findMp4Box([table], 'stbl/stsd').payload;
  const at = entry.indexOf('avcC') - 4;
  const description = entry.subarray(at + 8, at + entry.readUInt32BE(at));
  const frames: DecodedFrame[] = [];
  let failure: Error | null = null;
  const decoder = new VideoDecoder({
    output: (frame) => frames.push(frame),
    error: (error) => {
      failure = error;
    },
  });
  decoder.configure({
    codec: `avc1.${description.subarray(1, 4).toString('hex')}`,
    codedWidth: size.width,
    codedHeight: size.height,
    description,
  });
  const sizes = findMp4Box([table], 'stbl/stsz').payload;
  let start = findMp4Box([table], 'stbl/stco').payload.readUInt32BE(8);
  for (let sample = 0; sample < sizes.readUInt32BE(8); sample++) {
    const end = start + sizes.readUInt32BE(12 + 4 * sample);
    const data = mp4.subarray(start, end);
    const type = (data[4]! & 0x1f) === 5 ? 'key' : 'delta';
    decoder.decode(new EncodedVideoChunk({ type, timestamp: sample * 1e5, data }));
    start = end;
  }
  await decoder.flush();
  if (failure !== null) throw failure;
  return frames;
}
