import type { MapReading } from '#core/latents/object-map.ts';
import type { ModelManifest } from './manifest-schema.ts';

/** What an object mask is read from. */
export const OBJECT_MASK_SOURCES = ['segmenter', 'attention', 'frames'] as const;

export type ObjectMaskSource = (typeof OBJECT_MASK_SOURCES)[number];

/** What a mask of decoded frames is as large as. */
export const MASK_EXTENTS = ['pixels', 'latent'] as const;

/** How the objects of a package's videos are found. */
export interface ObjectMask extends MapReading {
  source: ObjectMaskSource;
  /** Of `frames` alone; `pixels` unless given. */
  extents?: (typeof MASK_EXTENTS)[number] | undefined;
}

/** What of a manifest decides how objects are found. */
export type ObjectMaskManifest = Pick<ModelManifest, 'objectMask'> & {
  files: Pick<ModelManifest['files'], 'segmenter'>;
};

/** How objects are found: as the manifest says, else by the segmenter; null where nothing finds them. */
export function objectMaskOf({ objectMask, files }: ObjectMaskManifest): ObjectMask | null {
  if (objectMask !== undefined) return objectMask;
  return files.segmenter === undefined ? null : { source: 'segmenter', dilation: 0 };
}
