import {
  CALIBRATION_FORMAT,
  checkCalibrationFile,
  type CalibrationFile,
} from '#core/calibration-file.ts';
import { InvalidInputError } from '#core/errors.ts';
import { DefaultCalibration, type Calibration } from '#core/calibration.ts';
import type { SolverName } from '#core/generation.ts';
import { PackageCalibration } from '#core/package-calibration.ts';
import type { ModelPackage } from '#models/manifest.ts';
import { loadCalibration } from '#models/package-calibration.ts';
import type { FullGeneration } from './system.ts';
import type { Row } from './rows.ts';

/** The calibration of a package, or what stands in for one that has none. */
export interface BenchCalibration {
  file: CalibrationFile;
  isProvisional: boolean;
}

/** Reads `calibration.json`; without one, start points that were measured but not checked stand in. */
export async function benchCalibration(modelPackage: ModelPackage): Promise<BenchCalibration> {
  const { shift = 1, sigmas } = modelPackage.manifest.scheduler;
  if (shift !== 1 || sigmas !== undefined) {
    throw new InvalidInputError(
      'scheduler.shift',
      'the rivals of the table resume at evenly spaced noise levels, and this package has others',
      'give --model a package without scheduler.shift and scheduler.sigmas',
    );
  }
  const { file } = await loadCalibration(modelPackage);
  return file === null
    ? { file: provisional(modelPackage), isProvisional: true }
    : { file: file.content, isProvisional: false };
}

/** What ours decides by, less what a row leaves out. */
export function calibrationOf(
  { without }: Pick<Row, 'without'>,
  { file }: BenchCalibration,
  { solver }: FullGeneration,
  { manifest }: ModelPackage,
): Calibration {
  if (without === 'calibration') return new DefaultCalibration(manifest.lookup.thresholds, solver);
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
    if (plan.anchor !== 'region') return [plan];
    const [cheapest] = measured
      .filter(
        ({ kind, anchor, similarity, loss }) =>
          kind === plan.kind &&
          anchor !== 'region' &&
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

/**
 * Start points of cells of 512 videos whose losses were below 1 % of adherence and 5 % of Frechet distance with 95 %
 * confidence, and thresholds of the same run of `flexcache calibrate` (H200, 512 prompts). No held-out prompts
 * checked them. Backgrounds had no such cell.
 */
function provisional({ manifest, revision }: ModelPackage): CalibrationFile {
  const { solver, steps } = manifest.scheduler;
  const unknown = { mean: 0, low: 0, high: 0 };
  const shared = {
    loss: { adherence: unknown, frechet: unknown },
    samples: 512,
    anchor: 'none',
  } as const;
  const plan = (
    kind: CalibrationFile['plans'][number]['kind'],
    similarity: number,
    startTime: number,
    count: number,
    by: SolverName,
  ) => ({ ...shared, kind, similarity, startTime, steps: count, solver: by, equivalents: count });
  return checkCalibrationFile('provisional calibration', {
    format: CALIBRATION_FORMAT,
    modelRevision: revision,
    createdAt: new Date(0).toISOString(),
    machine: 'provisional',
    provider: 'cuda',
    seed: 1,
    samples: 512,
    objective: { adherence: 0.01, frechet: 0.05 },
    precision: 0.97,
    full: { solver, steps, adherence: null, frechet: 0 },
    maxGeneration: null,
    thresholds: { whole: 1, object: 1, background: 1 },
    sureThresholds: { whole: 0.563, object: 0.4837, background: 0.5595 },
    plans: [
      plan('whole', 0.563, 0.5, 1, 'ab2'),
      plan('near', 0.6599, 0.9, 3, 'dpmpp-2m'),
      plan('object+background', 0.533, 0.8, 2, 'dpmpp-2m'),
      plan('object', 0.816, 0.9, 4, 'ab2'),
    ],
    heldOut: null,
  });
}
