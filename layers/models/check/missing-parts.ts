import type { ModelManifest } from '../manifest.ts';
import { objectMaskOf } from '../object-mask.ts';
import { videoVectorsOf } from '../video-vectors.ts';
import { remark, type Finding } from './finding.ts';

/** What a package may do without, and what then does not happen. */
const OPTIONAL_PARTS: readonly {
  name: string;
  isThere: (manifest: ModelManifest) => boolean;
  without: string;
}[] = [
  {
    name: 'vaeEncoder',
    isThere: ({ files }) => files.vaeEncoder !== undefined,
    without: 'no video or image can be turned into a latent; text-to-video does not need it',
  },
  {
    name: 'segmenter or objectMask',
    isThere: (manifest) => objectMaskOf(manifest) !== null,
    without: 'no object and no background is reused by itself: hits are exact or whole',
  },
  {
    name: 'textTower or embedder',
    isThere: ({ files }) => files.textTower !== undefined || files.embedder !== undefined,
    without:
      'prompts are looked up by hashed words: only prompts of the same words are taken for the same',
  },
  {
    name: 'videoTower or videoVectors',
    isThere: (manifest) => videoVectorsOf(manifest) !== null,
    without:
      'what a video shows is not compared with prompts: entries are found by the prompts that they were made for',
  },
  {
    name: 'splitter',
    isThere: ({ splitter }) => splitter !== undefined,
    without: 'a parser of English finds what of a prompt is its object and its background',
  },
  {
    name: 'lookup.thresholds',
    isThere: ({ lookup }) => lookup !== undefined,
    without: 'thresholds are conservative defaults, not measured on this package',
  },
  {
    name: 'judge',
    isThere: ({ files, judge }) => files.judge !== undefined && judge !== undefined,
    without:
      'donors are not verified by what they show: they are chosen by similarity alone, and no hit has the anchor place',
  },
];

/** A remark for each optional part that the package lacks. */
export function missingParts(manifest: ModelManifest): Finding[] {
  return OPTIONAL_PARTS.filter(({ isThere }) => !isThere(manifest)).map(({ name, without }) =>
    remark(`no ${name}`, without),
  );
}
