import type { ModelManifest } from '../manifest.ts';
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
    name: 'judge',
    isThere: ({ files, judge }) => files.judge !== undefined && judge !== undefined,
    without:
      'nobody looks at what a donor shows: donors are chosen by similarity alone, and no hit has the anchor place',
  },
];

/** A remark for each optional part that the package lacks. */
export function missingParts(manifest: ModelManifest): Finding[] {
  return OPTIONAL_PARTS.filter(({ isThere }) => !isThere(manifest)).map(({ name, without }) =>
    remark(`no ${name}`, without),
  );
}
