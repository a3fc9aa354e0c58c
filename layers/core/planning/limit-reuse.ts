import type { Calibration, StartPoint } from './calibration.ts';
import type { GenerationRequest } from '../generation.ts';

/**
 * Limits a calibration to the bounds of a request: no donor below `minSimilarity`, and no start
 * that skips more than `maxReuse` of the denoising. A start time below `1 - maxReuse` is raised to
 * it, with proportionally more steps. An anchored hit keeps part of its donor unchanged, so it is
 * not used if `maxReuse` is below 1.
 *
 * @example
 * const start = limitReuse(calibration, { minSimilarity: 0.9, maxReuse: 0.5 }).decide('whole', 1, 12);
 */
export function limitReuse(
  calibration: Calibration,
  { minSimilarity, maxReuse }: Pick<GenerationRequest, 'minSimilarity' | 'maxReuse'>,
): Calibration {
  const earliest = 1 - maxReuse;
  const { fullSolver, maxReuseDepth } = calibration;
  return {
    fullSolver,
    maxReuseDepth,
    admits: (part, similarity, isSure) =>
      similarity >= minSimilarity && calibration.admits(part, similarity, isSure),
    decide(kind, similarity, fullSteps) {
      if (similarity < minSimilarity) return null;
      const start = calibration.decide(kind, similarity, fullSteps);
      if (start !== null && start.anchor !== 'none' && maxReuse < 1) return null;
      if (start === null || start.startTime >= earliest) return start;
      // A finished video cannot be reused in part.
      return kind === 'exact' ? null : moveStart(start, earliest, fullSteps);
    },
  };
}

/**
 * Moves the start of a hit: as many steps per unit of time as before, or as in a full generation if
 * that is fewer. Returns null if nothing would be saved.
 */
export function moveStart(start: StartPoint, to: number, fullSteps: number): StartPoint | null {
  const { startTime, steps } = start;
  const proportional = Math.ceil(withoutNoise((steps * to) / startTime));
  const asFull = Math.ceil(withoutNoise(to * fullSteps));
  const moved = Math.max(steps, Math.min(proportional, asFull));
  return to < 1 && moved < fullSteps
    ? { ...start, startTime: to, steps: moved, equivalents: moved * (start.equivalents / steps) }
    : null;
}

/** Removes floating-point noise: 3 * 0.8 / 0.3 is 8, not slightly more. */
export function withoutNoise(value: number): number {
  return Number.isFinite(value) ? Number(value.toPrecision(12)) : value;
}
