import { startPoint, type Calibration } from '#core/planning/calibration.ts';
import type { Donor, Plan } from '#core/generation.ts';

/**
 * The plan that is left when only some of its donors could be read: object+background becomes the
 * part that is left, anything else a full generation. Start time and steps are decided anew.
 */
export function degradePlan(plan: Plan, usable: readonly Donor[], calibration: Calibration): Plan {
  if (usable.length === plan.donors.length) return plan;
  const [donor] = usable;
  if (donor !== undefined) {
    const start = calibration.decide(donor.part, donor.similarity, plan.fullSteps);
    if (start !== null) return { ...plan, ...start, hit: donor.part, donors: [donor] };
  }
  return {
    ...plan,
    ...startPoint(1, plan.fullSteps, calibration.fullSolver),
    hit: 'miss',
    donors: [],
  };
}
