import { describe, expect, it } from 'vitest';
import { DefaultCalibration, type Calibration } from '#core/planning/calibration.ts';
import { degradePlan } from '#denoiser/degrade-plan.ts';
import { donorFor, planFor, THRESHOLDS } from './fakes.ts';

const CALIBRATION = new DefaultCalibration(THRESHOLDS);
const OBJECT = donorFor('object', 'a');
const BACKGROUND = donorFor('background', 'b');

describe('degradePlan', () => {
  it('leaves a plan alone whose donors can all be read', () => {
    const plan = planFor('object+background', [OBJECT, BACKGROUND]);

    expect(degradePlan(plan, [OBJECT, BACKGROUND], CALIBRATION)).toBe(plan);
  });

  it.each([
    ['object', OBJECT],
    ['background', BACKGROUND],
  ] as const)('keeps the %s that is left, with its own start time and steps', (part, left) => {
    // Prepare
    const plan = planFor('object+background', [OBJECT, BACKGROUND], { steps: 14, fullSteps: 20 });

    // Act
    const degraded = degradePlan(plan, [left], CALIBRATION);

    // Assess
    const start = CALIBRATION.decide(part, left.similarity, plan.fullSteps);
    expect(degraded).toEqual({ ...plan, hit: part, donors: [left], ...start });
    expect(degraded.steps).toBeGreaterThan(plan.steps);
  });

  it('becomes a full generation when the part that is left saves nothing', () => {
    // Prepare: alone, this background is not similar enough.
    const weak = donorFor('background', 'b', 0.1);

    // Act
    const degraded = degradePlan(planFor('object+background', [OBJECT, weak]), [weak], CALIBRATION);

    // Assess
    expect(degraded).toMatchObject({ hit: 'miss', donors: [], startTime: 1, steps: 12 });
  });

  it.each(['whole', 'object', 'background'] as const)(
    'becomes a full generation when the only donor of %s is gone',
    (hit) => {
      expect(degradePlan(planFor(hit, [donorFor(hit, 'a')]), [], CALIBRATION)).toEqual(
        planFor('miss'),
      );
    },
  );

  it('takes solver, anchor and compute from the calibration too', () => {
    // Prepare
    const anchored = {
      startTime: 0.95,
      steps: 4,
      solver: 'dpmpp-2m',
      anchor: 'background',
      equivalents: 3.5,
    } as const;
    const calibration: Calibration = {
      fullSolver: 'ab2',
      maxReuseDepth: Infinity,
      admits: () => true,
      decide: (kind) => (kind === 'background' ? anchored : null),
    };
    const plan = planFor('object+background', [OBJECT, BACKGROUND], { solver: 'euler' });

    // Act
    const [background, nothing] = [
      degradePlan(plan, [BACKGROUND], calibration),
      degradePlan({ ...plan, ...anchored, donors: [BACKGROUND] }, [], calibration),
    ];

    // Assess
    expect(background).toMatchObject({ hit: 'background', ...anchored });
    expect(nothing).toMatchObject({
      hit: 'miss',
      steps: 12,
      solver: 'ab2',
      anchor: 'none',
      equivalents: 12,
    });
  });
});
