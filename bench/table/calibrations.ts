import { CALIBRATION_FILE, type CalibrationFile } from '#core/planning/calibration-file.ts';
import { InvalidInputError } from '#core/errors.ts';
import { DefaultCalibration, type Calibration } from '#core/planning/calibration.ts';
import { isRegional, type SolverName } from '#core/generation.ts';
import { PackageCalibration } from '#core/planning/package-calibration.ts';
import { lookupTraits } from '#models/lookup-traits.ts';
import type { ModelPackage } from '#models/manifest.ts';
import { loadCalibration } from '#models/package-calibration.ts';
import type { FullGeneration } from './system.ts';
import type { Row } from './rows.ts';

/**
 * The calibration of a package that the table can be made of.
 *
 * @throws InvalidInputError for a package that was not calibrated, or whose start times are not noise levels.
 */
export async function benchCalibration(modelPackage: ModelPackage): Promise<CalibrationFile> {
  const { shift = 1, sigmas } = modelPackage.manifest.scheduler;
  if (shift !== 1 || sigmas !== undefined) {
    throw new InvalidInputError(
      'scheduler.shift',
      'the rivals of the table resume at evenly spaced noise levels, and this package has others',
      'give --model a package without scheduler.shift and scheduler.sigmas',
    );
  }
  const { file } = await loadCalibration(modelPackage);
  if (file !== null) return file.content;
  throw new InvalidInputError(
    'model',
    `${modelPackage.directory} has no ${CALIBRATION_FILE}`,
    'run flexcache calibrate on it first',
  );
}

/** What ours decides by, less what a row leaves out. */
export function calibrationOf(
  { without }: Pick<Row, 'without'>,
  file: CalibrationFile,
  { solver }: FullGeneration,
  { manifest }: ModelPackage,
): Calibration {
  if (without === 'calibration')
    return new DefaultCalibration(lookupTraits(manifest).thresholds, solver);
  const plans = without === 'regions' ? withoutRegions(file) : file.plans;
  return new PackageCalibration({
    ...file,
    full: { ...file.full, solver },
    plans: plans.map((plan) => ({ ...plan, solver: solverOf(plan.solver, solver) })),
  });
}

/** Rows by Euler run it for hits too. */
function solverOf(planned: SolverName, full: SolverName): SolverName {
  return full === 'euler' ? 'euler' : planned;
}

/**
 * Without the regions, the cheapest cell of the measurement whose 95 % bounds hold the objective takes the place of each
 * plan for one; where there is none, the kind is not used.
 */
function withoutRegions({ plans, measured, objective }: CalibrationFile): CalibrationFile['plans'] {
  return plans.flatMap((plan) => {
    if (!isRegional(plan.anchor)) return [plan];
    const [cheapest] = measured
      .filter(
        ({ kind, anchor, similarity, loss }) =>
          kind === plan.kind &&
          !isRegional(anchor) &&
          similarity <= plan.similarity &&
          (loss.adherence === null || loss.adherence.high <= objective.adherence) &&
          loss.frechet.high <= objective.frechet,
      )
      .sort((one, other) => one.equivalents - other.equivalents);
    if (cheapest === undefined) return [];
    const { kind, startTime, steps, solver, anchor, equivalents, loss, samples } = cheapest;
    const { similarity } = plan;
    return [{ kind, similarity, startTime, steps, solver, anchor, equivalents, loss, samples }];
  });
}
