import { createRandomSource } from '#core/random.ts';
import type { Shown } from '#core/simulate/types.ts';
import { drawOne } from '#core/simulate/traces/draw.ts';

/** Model revision of the package whose videos were measured. */
const MEASURED_REVISION = 'cb0eef6baeec4167a38ed77cfee82ba9f54a2dfed7800e7e3e10bb6f115acca0';

/**
 * Cosines of 60 videos' vectors with those of their own prompts: whole, object, background. Full
 * generations of every fifth request of a made-up trace's beginning (`flexcache trace generate
 * --requests 50000 --seed 1`, lines 6 to 301). Of the 3,540 pairs of one's prompt and another's video, the
 * cosine of the prompts times these agrees with the thresholds of the package in all for whole and object, and in
 * 99.5 % for background; the cosine of the prompts alone admits 6 whole videos where none is near, and 24
 * objects where 3 are.
 */
const MEASURED: readonly (readonly [whole: number, object: number, background: number])[] = [
  [0.863, 0.814, 0.877],
  [0.746, 0.518, 0.951],
  [0.868, 0.916, 0.855],
  [0.797, 0.545, 0.908],
  [0.933, 0.952, 0.931],
  [0.606, 0.402, 0.769],
  [0.854, 0.744, 0.929],
  [0.722, 0.726, 0.891],
  [0.924, 0.873, 0.935],
  [0.774, 0.74, 0.856],
  [0.817, 0.696, 0.844],
  [0.896, 0.861, 0.919],
  [0.788, 0.763, 0.893],
  [0.808, 0.792, 0.92],
  [0.918, 0.957, 0.818],
  [0.884, 0.805, 0.769],
  [0.955, 0.962, 0.927],
  [0.886, 0.868, 0.805],
  [0.684, 0.355, 0.89],
  [0.774, 0.74, 0.856],
  [0.938, 0.961, 0.902],
  [0.801, 0.623, 0.828],
  [0.95, 0.966, 0.879],
  [0.845, 0.742, 0.921],
  [0.904, 0.938, 0.79],
  [0.768, 0.75, 0.922],
  [0.928, 0.903, 0.934],
  [0.665, 0.7, 0.766],
  [0.903, 0.901, 0.892],
  [0.822, 0.885, 0.87],
  [0.78, 0.733, 0.853],
  [0.857, 0.912, 0.82],
  [0.832, 0.675, 0.91],
  [0.809, 0.817, 0.848],
  [0.917, 0.949, 0.859],
  [0.709, 0.651, 0.797],
  [0.815, 0.713, 0.903],
  [0.765, 0.769, 0.909],
  [0.802, 0.888, 0.775],
  [0.85, 0.855, 0.88],
  [0.78, 0.611, 0.898],
  [0.851, 0.931, 0.824],
  [0.757, 0.466, 0.932],
  [0.92, 0.96, 0.866],
  [0.912, 0.969, 0.852],
  [0.842, 0.801, 0.937],
  [0.876, 0.852, 0.865],
  [0.91, 0.947, 0.932],
  [0.797, 0.795, 0.872],
  [0.803, 0.696, 0.931],
  [0.813, 0.76, 0.784],
  [0.727, 0.753, 0.81],
  [0.892, 0.923, 0.704],
  [0.813, 0.75, 0.892],
  [0.855, 0.922, 0.8],
  [0.9, 0.956, 0.866],
  [0.888, 0.953, 0.755],
  [0.941, 0.963, 0.941],
  [0.834, 0.843, 0.79],
  [0.721, 0.679, 0.816],
];

/**
 * How well the video of a prompt will show it, drawn from what was measured: the same for the same
 * prompt. Null for a package whose videos nobody has measured.
 */
export function shownBy(revision: string): ((prompt: string) => Shown) | null {
  if (revision !== MEASURED_REVISION) return null;
  return (prompt) => {
    const [whole, object, background] = drawOne(createRandomSource(0, prompt), MEASURED);
    return { whole, object, background };
  };
}
