import type { CalibratedKind, Calibration } from './calibration.ts';
import { HIT_KINDS, type HitKind } from '../generation.ts';

/** Calibrated kinds that decide about a hit; for other hits the kind itself. */
const CALIBRATED_KINDS: Partial<Record<HitKind, readonly CalibratedKind[]>> = {
  background: ['background', 'placed'],
};

/**
 * Lists the possible hits of requests with this many steps, given perfectly similar donors.
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
