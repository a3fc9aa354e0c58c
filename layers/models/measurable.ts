import type { ModelManifest } from './manifest.ts';

/** What hits are measured with, and what for. */
const MEASURING_NETWORKS = {
  videoTower: 'to compare videos with their prompts and with other videos',
  segmenter: 'to tell objects from backgrounds',
} as const;

type MeasuringNetwork = keyof typeof MEASURING_NETWORKS;

/** Networks without which nothing that a hit loses can be measured and that the package does not bring. */
export function missingToMeasure({ files }: Pick<ModelManifest, 'files'>): MeasuringNetwork[] {
  const names = Object.keys(MEASURING_NETWORKS) as MeasuringNetwork[];
  return names.filter((name) => files[name] === undefined);
}

/** The same in words: `videoTower (to ...) and segmenter (to ...)`. */
export function describeMissing(names: readonly MeasuringNetwork[]): string {
  return names.map((name) => `${name} (${MEASURING_NETWORKS[name]})`).join(' and ');
}
