import { createRequire } from 'node:module';
import type { H264MP4Encoder } from 'h264-mp4-encoder';
import type { Frames } from './frames.ts';
import { toYuv420 } from './yuv420.ts';

/** Of 10..51, lower is better; 18 is what x264 calls visually lossless. */
const QUANTIZATION = 18;
/**
 * Of 0..10. 9 encodes several times as fast as 0 and gives the same quality and size to 0.3 dB and 4 %
 * (docs/media.md); 10 gains little more and loses more.
 */
const SPEED = 9;

type EncoderModule = { createH264MP4Encoder: () => Promise<H264MP4Encoder> };

/** Frames that are encoded by themselves: the first is a whole picture, the others follow from it. */
export interface FrameGroup {
  frames: Frames;
  framesPerSecond: number;
}

/** An MP4 of one group, as the encoder leaves it: `joinMp4` makes the video's file of it. */
export async function encodeGroup({ frames, framesPerSecond }: FrameGroup): Promise<Uint8Array> {
  // The package's CommonJS file has exports that Node's ESM loader does not see.
  const { createH264MP4Encoder } = createRequire(import.meta.url)(
    'h264-mp4-encoder',
  ) as EncoderModule;
  const encoder = await createH264MP4Encoder();
  try {
    encoder.outputFilename = `${crypto.randomUUID()}.mp4`;
    encoder.width = frames.width;
    encoder.height = frames.height;
    encoder.frameRate = framesPerSecond;
    encoder.quantizationParameter = QUANTIZATION;
    encoder.groupOfPictures = frames.rgb.length;
    encoder.speed = SPEED;
    encoder.initialize();
    for (const rgb of frames.rgb) encoder.addFrameYuv(toYuv420(rgb, frames));
    encoder.finalize();
    const mp4 = encoder.FS.readFile(encoder.outputFilename);
    encoder.FS.unlink(encoder.outputFilename);
    return mp4;
  } finally {
    encoder.delete();
  }
}
