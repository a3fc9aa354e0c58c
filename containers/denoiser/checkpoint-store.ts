import { FlexCacheError } from '#core/errors.ts';
import { checkpointObjectKey } from '#core/requests/identity.ts';
import type { ObjectStore } from '#ports/objects.ts';
import {
  decodeCheckpoint,
  encodeCheckpoint,
  mostCheckpointBytes,
  type Checkpoint,
  type CheckpointSubject,
} from './checkpoint.ts';

/** A checkpoint that was looked for. */
export type FoundCheckpoint =
  | { checkpoint: Checkpoint; ignored: null }
  /** There is one, and it cannot be used. */
  | { checkpoint: null; ignored: FlexCacheError };

const UNUSABLE: ReadonlySet<string> = new Set([
  'latent_corrupt',
  'latent_foreign',
  'object_corrupt',
]);

/**
 * The checkpoint that an earlier worker left for this subject; null when there is none.
 *
 * @throws FlexCacheError when the store cannot be read.
 */
export async function loadCheckpoint(
  objects: Pick<ObjectStore, 'get'>,
  subject: CheckpointSubject,
  latentShape: readonly number[],
): Promise<FoundCheckpoint | null> {
  try {
    const key = checkpointObjectKey(subject.request.videoId);
    const bytes = await objects.get(key, { atMostBytes: mostCheckpointBytes(latentShape) });
    return { checkpoint: decodeCheckpoint(bytes, subject, latentShape), ignored: null };
  } catch (error) {
    if (!(error instanceof FlexCacheError)) throw error;
    if (error.code === 'object_missing') return null;
    if (!UNUSABLE.has(error.code)) throw error;
    return { checkpoint: null, ignored: error };
  }
}

/** Writes over an earlier checkpoint of the video. */
export async function storeCheckpoint(
  objects: Pick<ObjectStore, 'put'>,
  subject: CheckpointSubject,
  checkpoint: Checkpoint,
): Promise<void> {
  const key = checkpointObjectKey(subject.request.videoId);
  await objects.put(key, encodeCheckpoint(subject, checkpoint));
}

/** Idempotent. */
export async function deleteCheckpoint(
  objects: Pick<ObjectStore, 'delete'>,
  videoId: string,
): Promise<void> {
  await objects.delete(checkpointObjectKey(videoId));
}
