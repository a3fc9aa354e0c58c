import { objectMaskOf, type ObjectMaskManifest } from './object-mask.ts';
import { videoVectorsOf, type VideoVectorsManifest } from './video-vectors.ts';

type MeasuringManifest = ObjectMaskManifest & VideoVectorsManifest;

/** Something that hits are measured with. */
export interface MeasuringPart {
  /** What a package may bring for it. */
  name: string;
  /** Field of the manifest that is looked at first. */
  field: string;
  purpose: string;
}

const MEASURING_PARTS: readonly (MeasuringPart & {
  isThere: (manifest: MeasuringManifest) => boolean;
})[] = [
  {
    name: 'videoTower or videoVectors',
    field: 'videoVectors',
    purpose: 'to compare videos with their prompts and with other videos',
    isThere: (manifest) => videoVectorsOf(manifest) !== null,
  },
  {
    name: 'segmenter or objectMask',
    field: 'objectMask',
    purpose: 'to tell objects from backgrounds',
    isThere: (manifest) => objectMaskOf(manifest) !== null,
  },
];

/** What a package does not bring and without which nothing that a hit loses can be measured. */
export function missingToMeasure(manifest: MeasuringManifest): MeasuringPart[] {
  return MEASURING_PARTS.filter(({ isThere }) => !isThere(manifest));
}

/** The same in words: `videoTower or videoVectors (to ...), and segmenter or objectMask (to ...)`. */
export function describeMissing(parts: readonly MeasuringPart[]): string {
  return parts.map(({ name, purpose }) => `${name} (${purpose})`).join(', and ');
}
