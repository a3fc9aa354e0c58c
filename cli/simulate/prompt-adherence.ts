import { createHash } from 'node:crypto';
import { createRandomSource } from '#core/random.ts';
import type { Shown } from '#simulation/types.ts';
import { drawOne } from '#simulation/traces/draw.ts';
import type { ModelManifest } from '#models/manifest.ts';

type ShowingManifest = Pick<ModelManifest, 'files' | 'scheduler'>;

/** Package files that affect how videos show their prompts; decoders and judges do not. */
const DECIDING_FILES = [
  'tokenizer',
  'textEncoder',
  'denoiser',
  'segmenter',
  'textTower',
  'videoTower',
  'frameSegmenter',
  'imageTower',
] as const;

/** `keyOf` of the measured package. */
const MEASURED_KEY = '8bf149f3b3055a4b';

/**
 * Cosines of 60 videos' vectors with those of their own prompts: whole, object, background. The
 * videos are full generations of every fifth request at the start of a synthetic trace (`node
 * bench/prompt-adherence.ts`). On an earlier denoiser of the package, whose means were the same to
 * 0.02, 3,540 pairs of a prompt and another prompt's video were checked: the cosine of the prompts
 * times these values agreed with the manifest's thresholds in all pairs for whole and object, and
 * in 99.5 % for background.
 */
const MEASURED: readonly (readonly [whole: number, object: number, background: number])[] = [
  [0.893, 0.822, 0.872],
  [0.829, 0.903, 0.823],
  [0.735, 0.768, 0.788],
  [0.9, 0.956, 0.854],
  [0.933, 0.964, 0.871],
  [0.872, 0.901, 0.74],
  [0.623, 0.259, 0.865],
  [0.898, 0.926, 0.802],
  [0.841, 0.873, 0.892],
  [0.858, 0.932, 0.775],
  [0.943, 0.963, 0.936],
  [0.909, 0.817, 0.917],
  [0.913, 0.964, 0.842],
  [0.859, 0.882, 0.817],
  [0.615, 0.745, 0.699],
  [0.766, 0.588, 0.931],
  [0.888, 0.898, 0.943],
  [0.866, 0.856, 0.86],
  [0.931, 0.961, 0.929],
  [0.932, 0.953, 0.931],
  [0.746, 0.514, 0.887],
  [0.925, 0.945, 0.921],
  [0.818, 0.702, 0.77],
  [0.836, 0.885, 0.812],
  [0.894, 0.86, 0.823],
  [0.912, 0.958, 0.835],
  [0.832, 0.783, 0.938],
  [0.827, 0.79, 0.907],
  [0.773, 0.558, 0.892],
  [0.778, 0.753, 0.888],
  [0.796, 0.761, 0.859],
  [0.936, 0.954, 0.896],
  [0.791, 0.754, 0.868],
  [0.791, 0.754, 0.868],
  [0.771, 0.605, 0.881],
  [0.81, 0.832, 0.855],
  [0.898, 0.945, 0.845],
  [0.884, 0.941, 0.82],
  [0.894, 0.919, 0.794],
  [0.831, 0.707, 0.903],
  [0.702, 0.412, 0.95],
  [0.937, 0.957, 0.837],
  [0.806, 0.524, 0.915],
  [0.96, 0.971, 0.927],
  [0.748, 0.717, 0.815],
  [0.855, 0.724, 0.923],
  [0.648, 0.221, 0.871],
  [0.787, 0.766, 0.867],
  [0.765, 0.769, 0.809],
  [0.905, 0.95, 0.916],
  [0.867, 0.921, 0.802],
  [0.915, 0.895, 0.937],
  [0.804, 0.677, 0.935],
  [0.789, 0.478, 0.866],
  [0.885, 0.843, 0.89],
  [0.543, -0.278, 0.866],
  [0.777, 0.742, 0.892],
  [0.952, 0.971, 0.888],
  [0.791, 0.787, 0.812],
  [0.848, 0.818, 0.882],
];

/**
 * Returns a function that draws from the measurements how well the video of a prompt shows it,
 * deterministic per prompt. Returns null for a package without measurements.
 */
export function shownBy(manifest: ShowingManifest): ((prompt: string) => Shown) | null {
  if (keyOf(manifest) !== MEASURED_KEY) return null;
  return (prompt) => {
    const [whole, object, background] = drawOne(createRandomSource(0, prompt), MEASURED);
    return { whole, object, background };
  };
}

/**
 * Returns the first 16 hexadecimal digits of a sha256 over the deciding files and the scheduler.
 */
export function keyOf({ files, scheduler }: ShowingManifest): string {
  const { solver, steps, guidance } = scheduler;
  const digest = createHash('sha256').update(`${solver} ${steps} ${guidance}\n`);
  for (const name of DECIDING_FILES) {
    for (const { sha256 } of files[name] ?? []) digest.update(`${name} ${sha256}\n`);
  }
  return digest.digest('hex').slice(0, 16);
}
