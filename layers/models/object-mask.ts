import type { MapReading } from '#core/object-map.ts';
import type { ModelManifest } from './manifest-schema.ts';

/** What an object mask is read from. */
export const OBJECT_MASK_SOURCES = ['segmenter', 'attention'] as const;

export type ObjectMaskSource = (typeof OBJECT_MASK_SOURCES)[number];

/** How the objects of a package's videos are found. */
export interface ObjectMask extends MapReading {
  source: ObjectMaskSource;
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
