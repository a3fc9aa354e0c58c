import { encodeLatent } from '#codec/encode-latent.ts';
import { backgroundPart, dilate, objectPart } from '#core/compose.ts';
import type { GenerationResult } from '#core/generation.ts';
import type { ShownAttributes } from '#core/shown-attributes.ts';
import type { Tensor } from '#core/tensor.ts';
import type { ModelManifest } from '#models/manifest.ts';
import type { VideoModel } from '#models/model.ts';
import { encodeMedia, type VideoMedia } from './media.ts';

/** What finishing a latent needs. */
export interface FinishingModel {
  model: Pick<VideoModel, 'decode' | 'segment' | 'embedVideos' | 'recognise'>;
  manifest: Pick<ModelManifest, 'video'>;
  /** Of the package. */
  compatibilityKey: string;
}

/** What a clean latent becomes. */
export interface FinishedLatent {
  media: VideoMedia;
  /** Null where the cache keeps nothing of it. */
  stored: StoredLatent | null;
}

/**
 * Everything that follows the last step but storing it.
 *
 * @param latent clean, `[C, T, H, W]`
 * @param isStored whether the cache keeps it
 */
export async function finishLatent(
  { model, manifest, compatibilityKey }: FinishingModel,
  latent: Tensor,
  isStored: boolean,
): Promise<FinishedLatent> {
  // The networks run one after the other. Segmenting comes first: the latent is packed while it is
  // decoded, and the other networks describe it while other threads encode the video.
  const [stored, media] = await Promise.all([
    isStored ? describeLatent(model, compatibilityKey, latent) : null,
    model.decode(latent).then((video) => encodeMedia(video, manifest.video.framesPerSecond)),
  ]);
  return { media, stored };
}

/** What a cache keeps of a video: its latent, packed, and what the networks say of it. */
export interface StoredLatent {
  container: Uint8Array;
  vectors: GenerationResult['vectors'] & { whole: number[] };
  shown: ShownAttributes;
}

async function describeLatent(
  model: FinishingModel['model'],
  compatibilityKey: string,
  latent: Tensor,
): Promise<StoredLatent> {
  const mask = await model.segment(latent);
  const pack = async (): Promise<Uint8Array> => encodeLatent({ latent, mask, compatibilityKey });
  // The networks are told first: packing keeps this thread busy.
  const [vectors, shown, container] = await Promise.all([
    embedParts(model, latent, mask),
    model.recognise(latent),
    pack(),
  ]);
  return { container, vectors, shown };
}

/** Vectors of a latent and of its parts; null for a part that it does not have. */
async function embedParts(
  model: FinishingModel['model'],
  latent: Tensor,
  mask: Tensor,
): Promise<StoredLatent['vectors']> {
  const hasObject = mask.data.some((value) => value > 0);
  const hasBackground = dilate(mask).data.some((value) => value === 0);
  const [whole, ...parts] = await model.embedVideos([
    latent,
    ...(hasObject ? [objectPart(latent, mask)] : []),
    ...(hasBackground ? [backgroundPart(latent, mask)] : []),
  ]);
  const object = hasObject ? asText(parts.shift()!) : null;
  const background = hasBackground ? asText(parts.shift()!) : null;
  return { whole: asText(whole!), object, background };
}

/** Decimal digits that a float32 needs to survive as text. */
const FLOAT32_DIGITS = 9;

/** The workflow carries vectors as text: digits beyond a float32's would only make it longer. */
function asText(vector: Float32Array): number[] {
  return Array.from(vector, (element) => Number(element.toPrecision(FLOAT32_DIGITS)));
}
