import type { ModelManifest } from './manifest-schema.ts';

/** What the vectors of a package's videos are made of. */
export type VideoVectors = NonNullable<ModelManifest['videoVectors']>;

/** What of a manifest decides how videos become vectors. */
export type VideoVectorsManifest = Pick<ModelManifest, 'videoVectors'> & {
  files: Pick<ModelManifest['files'], 'videoTower'>;
};

/** How videos become vectors: as the manifest says, else by the tower on latents; null where nothing looks at them. */
export function videoVectorsOf({ videoVectors, files }: VideoVectorsManifest): VideoVectors | null {
  if (videoVectors !== undefined) return videoVectors;
  return files.videoTower === undefined ? null : { source: 'latent' };
}
