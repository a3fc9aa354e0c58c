import { MEASURED_KINDS } from '#core/planning/calibration-file.ts';
import type { CalibrationOptions } from './calibration-run.ts';
import { FIRST_ROUND } from './race.ts';
import { startGrid } from './start-grid.ts';

/** Typical number of starts per bin that are fully measured. */
const FINALISTS = 4;

/** Evaluations of a finalist: cheaper starts fail early, more expensive ones are not needed. */
const FINALIST_STEPS = 3;

/** Maximum videos whose drift is measured. */
export const MAX_IN_CHAINS = 256;

/** Maximum size of the reference: it affects the Frechet distance of all cells equally. */
export const MAX_REFERENCES = 512;

/**
 * Estimates the number of network evaluations of a calibration: the first round of every start, a
 * few starts to the end, and the parts that do not depend on the races.
 */
export function estimateEvaluations(
  options: CalibrationOptions,
  prompts: { tuning: readonly string[]; heldOut: readonly string[] },
): number {
  const { full, referenceSteps, samples, bins, chainLength } = options;
  const count = prompts.tuning.length;
  const perBin = Math.min(samples, count);
  const first = Math.min(FIRST_ROUND, perBin);
  let sum = Math.min(count, MAX_REFERENCES) * referenceSteps + count * 2 * full.steps;
  for (const kind of MEASURED_KINDS) {
    const steps = startGrid(kind, options).reduce((total, start) => total + start.steps, 0);
    // Each choice of donors has its own full generation.
    sum += bins * perBin * full.steps;
    sum += bins * (first * steps + FINALISTS * FINALIST_STEPS * (perBin - first));
  }
  sum += chainLength * Math.min(perBin, MAX_IN_CHAINS) * FINALIST_STEPS;
  sum += prompts.heldOut.length * (2 * full.steps + FINALIST_STEPS);
  return sum;
}
