import type { CalibratedPlan, CalibrationFile } from './calibration-file.ts';
import {
  isAdmitted,
  startPoint,
  type CalibratedKind,
  type Calibration,
  type DonorThresholds,
  type StartPoint,
} from './calibration.ts';
import type { LookupPart, SolverName } from '../generation.ts';
import { withoutNoise } from './limit-reuse.ts';

/** The part of a calibration that plans need. */
export type MeasuredPlans = Pick<
  CalibrationFile,
  'full' | 'maxReuseDepth' | 'thresholds' | 'sureThresholds' | 'plans'
>;

/**
 * Calibration by measurements of a package. Of the plans of a kind, the one with the largest
 * similarity reached applies; a kind without a plan is not used. Steps and compute are relative to
 * full generations of `full.steps` and scale with the steps of the request.
 */
export class PackageCalibration implements Calibration {
  readonly fullSolver: SolverName;
  readonly maxReuseDepth: number;
  readonly #fullSteps: number;
  readonly #thresholds: DonorThresholds;
  /** Plans by kind, the most similar first. */
  readonly #plans: ReadonlyMap<CalibratedKind, readonly CalibratedPlan[]>;

  constructor({ full, maxReuseDepth, thresholds, sureThresholds, plans }: MeasuredPlans) {
    this.fullSolver = full.solver;
    this.maxReuseDepth = maxReuseDepth ?? Infinity;
    this.#fullSteps = full.steps;
    this.#thresholds = { thresholds, sureThresholds: sureThresholds ?? thresholds };
    const ordered = plans.toSorted((one, other) => other.similarity - one.similarity);
    this.#plans = Map.groupBy(ordered, ({ kind }) => kind);
  }

  admits(part: LookupPart, similarity: number, isSure?: boolean): boolean {
    return isAdmitted(this.#thresholds, part, similarity, isSure);
  }

  decide(kind: CalibratedKind, similarity: number, fullSteps: number): StartPoint | null {
    if (kind === 'miss') return null;
    if (kind === 'exact') return startPoint(0, 0, this.fullSolver);
    const plan = this.#plans.get(kind)?.find((each) => similarity >= each.similarity);
    if (plan === undefined) return null;
    const scale = fullSteps === Infinity ? 1 : fullSteps / this.#fullSteps;
    const steps = Math.max(1, Math.ceil(withoutNoise(plan.steps * scale)));
    const equivalents = (plan.equivalents * steps) / plan.steps;
    if (steps > fullSteps || equivalents >= fullSteps) return null;
    const { startTime, solver, anchor, loss } = plan;
    const expectedLoss = Math.max(0, (loss.adherence ?? loss.similarity ?? loss.frechet).mean);
    return { startTime, steps, solver, anchor, equivalents, loss: expectedLoss };
  }
}
