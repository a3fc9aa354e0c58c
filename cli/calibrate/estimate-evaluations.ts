import { MEASURED_KINDS } from '#core/planning/calibration-file.ts';
import type { CalibrationOptions } from './calibration-run.ts';
import { FIRST_ROUND } from './race.ts';
import { startGrid } from './start-grid.ts';

/** Starts of a bin that are measured to the end, as a rule. */
const FINALISTS = 4;

/** Evaluations of a finalist: what is cheaper fails early, what is dearer is not needed. */
const FINALIST_STEPS = 3;

/** Videos of which drift is measured at most. */
export const MOST_IN_CHAINS = 256;

/** Videos that others are compared with at most: their number changes the Frechet distance of all alike. */
export const MOST_REFERENCES = 512;

/**
 * About how many network evaluations a calibration runs: the first round of every start, a few starts to
 * the end, and what does not depend on how the races go.
 */
export function estimateEvaluations(
  options: CalibrationOptions,
  prompts: { tuning: readonly string[]; heldOut: readonly string[] },
): number {
  const { full, referenceSteps, samples, bins, generations } = options;
  const count = prompts.tuning.length;
  const perBin = Math.min(samples, count);
  const first = Math.min(FIRST_ROUND, perBin);
  let sum = Math.min(count, MOST_REFERENCES) * referenceSteps + count * 2 * full.steps;
  for (const kind of MEASURED_KINDS) {
    const steps = startGrid(kind, options).reduce((total, start) => total + start.steps, 0);
    // Each choice of donors has a full generation of its own.
    sum += bins * perBin * full.steps;
    sum += bins * (first * steps + FINALISTS * FINALIST_STEPS * (perBin - first));
  }
  sum += generations * Math.min(perBin, MOST_IN_CHAINS) * FINALIST_STEPS;
  sum += prompts.heldOut.length * (2 * full.steps + FINALIST_STEPS);
  return sum;
}
