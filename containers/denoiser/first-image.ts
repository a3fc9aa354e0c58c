import sharp from 'sharp';
import { FlexCacheError } from '#core/errors.ts';
import { MAX_IMAGE_BYTES, unreadableImage } from '#core/requests/first-image.ts';
import type { GenerationRequest } from '#core/generation.ts';
import { imageObjectKey } from '#core/requests/identity.ts';
import type { Extent } from '#core/requests/shown-size.ts';
import type { Tensor } from '#core/latents/tensor.ts';
import type { ModelManifest } from '#models/manifest.ts';
import type { VideoModel } from '#models/model.ts';
import { sha256Of } from '#ports/object-key.ts';
import type { ObjectStore } from '#ports/objects.ts';

/** Twice the pixels of 8K: a small file may decode to any number of them. */
const MAX_PIXELS = 2 * 7680 * 4320;

/** What turning the image of a request into a latent needs. */
export interface ImageDependencies {
  model: Pick<VideoModel, 'encodeImage'>;
  manifest: Pick<ModelManifest, 'video'>;
  objects: Pick<ObjectStore, 'get'>;
}

/**
 * The clean latent `[C, 1, H, W]` of the first image that a request brought; null where it brought none.
 *
 * @throws InvalidInputError `image` for a file that is no image.
 * @throws FlexCacheError `object_missing` or `object_corrupt` where the file is not the one that was brought.
 */
export async function firstFrameOf(
  { model, manifest, objects }: ImageDependencies,
  { videoId, image }: Pick<GenerationRequest, 'videoId' | 'image'>,
): Promise<Tensor | null> {
  if (image === undefined) return null;
  const key = imageObjectKey(videoId, image);
  const file = await objects.get(key, { atMostBytes: MAX_IMAGE_BYTES });
  if (sha256Of(file) !== image) {
    throw new FlexCacheError('object_corrupt', `object ${key} has another sha256 than its name`, {
      fix: 'send the request again with its image',
    });
  }
  return model.encodeImage(await decodeImage(file, manifest.video));
}

/**
 * The pixels of an image file, `[3, H, W]` in 0..1: turned as its camera was held, scaled until it covers the frame, of
 * which it keeps the middle, as Wan's own image-to-video does. What is transparent is black.
 *
 * @throws InvalidInputError `image`
 */
export async function decodeImage(file: Uint8Array, { width, height }: Extent): Promise<Tensor> {
  let bytes: Buffer;
  try {
    bytes = await sharp(file, { limitInputPixels: MAX_PIXELS, autoOrient: true })
      .toColourspace('srgb')
      .flatten({ background: 'black' })
      .resize({ width, height, fit: 'cover', position: 'centre', kernel: 'lanczos3' })
      .raw({ depth: 'uchar' })
      .toBuffer();
  } catch (error) {
    throw unreadableImage(error as Error);
  }
  const pixels = width * height;
  const data = new Float32Array(3 * pixels);
  for (let index = 0; index < data.length; index++) {
    data[(index % 3) * pixels + Math.floor(index / 3)] = bytes[index]! / 255;
  }
  return { data, shape: [3, height, width] };
}
