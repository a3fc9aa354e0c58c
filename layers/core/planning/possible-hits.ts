import type { CalibratedKind, Calibration } from './calibration.ts';
import { HIT_KINDS, type HitKind } from '../generation.ts';

/** What of a calibration decides whether there is a hit; of all others the kind itself. */
const CALIBRATED_KINDS: Partial<Record<HitKind, readonly CalibratedKind[]>> = {
  background: ['background', 'placed'],
};

/**
 * The hits that requests of so many steps can be, with donors as similar as can be.
 *
 * @param fullSteps network evaluations of a full generation
 */
export function possibleHits(calibration: Calibration, fullSteps: number): HitKind[] {
  return HIT_KINDS.filter((hit) =>
    (CALIBRATED_KINDS[hit] ?? [hit]).some(
      (kind) => calibration.decide(kind, 1, fullSteps) !== null,
    ),
  );
}
