import { encodeLatent } from '#codec/encode-latent.ts';
import { shownParts } from '#core/latents/compose.ts';
import type { GenerationResult } from '#core/generation.ts';
import type { ShownAttributes } from '#core/planning/shown-attributes.ts';
import { elementCount, type AttendedTensor, type Tensor } from '#core/latents/tensor.ts';
import type { ModelManifest } from '#models/manifest.ts';
import type { VideoModel } from '#models/model.ts';
import { encodeMedia, type VideoMedia } from './media.ts';

/** What finishing a latent needs. */
export interface FinishingModel {
  model: Pick<VideoModel, 'decode' | 'segment' | 'embedParts' | 'recognise'>;
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
 * @param latent clean, `[C, T, H, W]`, with its object map where masks are read from attention
 * @param isStored whether the cache keeps it
 */
export async function finishLatent(
  { model, manifest, compatibilityKey }: FinishingModel,
  latent: AttendedTensor,
  isStored: boolean,
): Promise<FinishedLatent> {
  let decoding: Promise<Tensor> | undefined;
  const decoded = (): Promise<Tensor> => (decoding ??= model.decode(latent));
  // The networks run one after the other. Segmenting comes first: the latent is packed while it is
  // decoded, and the other networks describe it while other threads encode the video.
  const [stored, media] = await Promise.all([
    isStored ? describeLatent(model, compatibilityKey, latent, decoded) : null,
    decoded().then((video) => encodeMedia(video, manifest.video.framesPerSecond)),
  ]);
  return { media, stored };
}

/** What a cache keeps of a video: its latent, packed, and what the networks say of it. */
export interface StoredLatent {
  container: Uint8Array;
  description: Pick<GenerationResult, 'vectors' | 'describedByPrompt'>;
  shown: ShownAttributes;
}

async function describeLatent(
  model: FinishingModel['model'],
  compatibilityKey: string,
  latent: AttendedTensor,
  decoded: () => Promise<Tensor>,
): Promise<StoredLatent> {
  const mask = await model.segment(latent, decoded);
  const pack = async (): Promise<Uint8Array> =>
    encodeLatent({ latent, mask: mask ?? emptyMask(latent), compatibilityKey });
  // The networks are told first: packing keeps this thread busy.
  const [description, shown, container] = await Promise.all([
    describeParts(model, latent, mask, decoded),
    model.recognise(latent),
    pack(),
  ]);
  return { container, description, shown };
}

function emptyMask({ shape }: Tensor): Tensor {
  const extents = shape.slice(1);
  return { data: new Float32Array(elementCount(extents)), shape: extents };
}

/** Vectors of a latent and of the parts that it has; without a mask it has none. */
async function describeParts(
  model: FinishingModel['model'],
  latent: Tensor,
  mask: Tensor | null,
  decoded: () => Promise<Tensor>,
): Promise<StoredLatent['description']> {
  const parts = shownParts(mask);
  const vectors: GenerationResult['vectors'] = { whole: null, object: null, background: null };
  const embedded = await model.embedParts(latent, mask, parts, decoded);
  if (embedded === null) return { vectors, describedByPrompt: parts };
  for (const [index, part] of parts.entries()) vectors[part] = asText(embedded[index]!);
  return { vectors };
}

/** Decimal digits that a float32 needs to survive as text. */
const FLOAT32_DIGITS = 9;

/** The workflow carries vectors as text: digits beyond a float32's would only make it longer. */
function asText(vector: Float32Array): number[] {
  return Array.from(vector, (element) => Number(element.toPrecision(FLOAT32_DIGITS)));
}
