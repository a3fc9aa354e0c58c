import type { CalibratedPlan, CalibrationFileInput } from '#core/planning/calibration-file.ts';

export const REVISION = '0123456789abcdef'.repeat(4);

const NO_LOSS = { mean: 0, low: -0.01, high: 0.01 };

/** A plan of a calibration with a full generation of 6 evaluations. */
export function planOf(
  kind: CalibratedPlan['kind'],
  similarity: number,
  steps: number,
  change: Partial<CalibratedPlan> = {},
): CalibratedPlan {
  return {
    kind,
    similarity,
    startTime: 0.7,
    steps,
    solver: 'ab2',
    anchor: 'none',
    equivalents: steps,
    loss: { adherence: NO_LOSS, frechet: NO_LOSS },
    samples: 64,
    ...change,
  };
}

/** What small measurements of the demo package suggest; measured by nobody as it stands. */
export function calibrationFile(change: Partial<CalibrationFileInput> = {}): CalibrationFileInput {
  return {
    format: 'flexcache-calibration/1',
    modelRevision: REVISION,
    createdAt: '2026-11-29T12:00:00.000Z',
    machine: 'test',
    provider: 'cpu',
    seed: 1,
    samples: 64,
    objective: { adherence: 0.01, frechet: 0.05 },
    precision: 0.97,
    full: { solver: 'ab2', steps: 6, adherence: 0.97, frechet: 3200 },
    maxReuseDepth: null,
    thresholds: { whole: 0.9, object: 0.82, background: 0.69 },
    plans: [
      planOf('whole', 0.9, 1, { startTime: 0.3 }),
      planOf('near', 0.6, 4, { startTime: 0.8 }),
      planOf('object+background', 0.69, 3),
      planOf('background', 0.69, 4, { startTime: 0.95, anchor: 'background' }),
    ],
    heldOut: null,
    ...change,
  };
}
