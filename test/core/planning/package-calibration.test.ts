import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  checkCalibrationFile,
  MEASURED_KINDS,
  type CalibrationFileInput,
} from '#core/planning/calibration-file.ts';
import { PackageCalibration } from '#core/planning/package-calibration.ts';
import { calibrationFile, planOf } from './calibration-fixture.ts';

function calibrationWith(change: Partial<CalibrationFileInput> = {}): PackageCalibration {
  return new PackageCalibration(checkCalibrationFile('calibration.json', calibrationFile(change)));
}

describe('PackageCalibration', () => {
  it('takes the plan of the largest similarity that is reached', () => {
    const calibration = calibrationWith({
      plans: [planOf('whole', 0.8, 4), planOf('whole', 0.95, 1), planOf('whole', 0.9, 2)],
    });
    const stepsAt = (similarity: number) => calibration.decide('whole', similarity, 6)?.steps;

    expect([0.79, 0.8, 0.9, 0.94, 0.95, 1].map(stepsAt)).toEqual([undefined, 4, 2, 2, 1, 1]);
  });

  it('admits parts by the thresholds, whatever plans there are', () => {
    const calibration = calibrationWith({ plans: [] });

    expect(calibration.admits('object', 0.82)).toBe(true);
    expect(calibration.admits('object', 0.819)).toBe(false);
    expect(calibration.decide('object', 1, 6)).toBeNull();
  });

  it('asks less similarity of donors in which the judge was sure to see what is asked', () => {
    const sureThresholds = { whole: 0.8, object: 0.5, background: 0.4 };
    const calibration = calibrationWith({ sureThresholds });

    expect(calibration.admits('object', 0.5, true)).toBe(true);
    expect(calibration.admits('object', 0.49, true)).toBe(false);
    expect(calibration.admits('object', 0.5)).toBe(false);
    expect(calibrationWith().admits('object', 0.5, true)).toBe(false);
  });

  it('returns finished videos and decides nothing of a miss', () => {
    expect(calibrationWith().decide('exact', 1, 6)).toMatchObject({ steps: 0, equivalents: 0 });
    expect(calibrationWith().decide('miss', 1, 6)).toBeNull();
  });

  it.each([
    [6, 3],
    [12, 6],
    [10, 5],
    [50, 25],
    [4, 2],
    [2, 1],
    [1, undefined],
  ])('of %d steps runs its share', (fullSteps, steps) => {
    const start = calibrationWith().decide('object+background', 0.9, fullSteps);
    expect(start?.steps).toBe(steps);
    expect(start?.equivalents).toBe(steps);
  });

  it('scales compute as it scales steps', () => {
    const plans = [planOf('background', 0.69, 6, { anchor: 'region', equivalents: 2.4 })];
    const start = calibrationWith({ plans }).decide('background', 0.7, 12);
    expect(start).toMatchObject({ steps: 12, anchor: 'region' });
    expect(start!.equivalents).toBeCloseTo(4.8, 12);
  });

  it('says what a plan is expected to lose, and no gain', () => {
    const loss = (mean: number) => ({
      adherence: { mean, low: -1, high: 1 },
      frechet: { mean: 0.04, low: 0, high: 0.1 },
    });
    const plans = [
      planOf('whole', 0.9, 1, { loss: loss(-0.02) }),
      planOf('near', 0.6, 4, { loss: loss(0.007) }),
      planOf('background', 0.7, 4, { loss: { ...loss(0), adherence: null } }),
    ];
    const calibration = calibrationWith({ plans });
    expect(calibration.decide('whole', 0.9, 6)!.loss).toBe(0);
    expect(calibration.decide('near', 0.9, 6)!.loss).toBe(0.007);
    expect(calibration.decide('background', 0.9, 6)!.loss).toBe(0.04);
  });

  it('never costs as much as a full generation', () => {
    const calibration = calibrationWith({
      plans: [
        planOf('whole', 0.9, 1),
        planOf('near', 0.6, 5),
        planOf('background', 0.5, 6, { anchor: 'region', equivalents: 5.5 }),
      ],
    });
    fc.assert(
      fc.property(
        fc.constantFrom(...MEASURED_KINDS),
        fc.double({ min: -1, max: 1, noNaN: true }),
        fc.integer({ min: 1, max: 100 }),
        (kind, similarity, fullSteps) => {
          const start = calibration.decide(kind, similarity, fullSteps);
          if (start === null) return;
          expect(start.equivalents).toBeLessThan(fullSteps);
          expect(start.steps).toBeLessThanOrEqual(fullSteps);
          expect(start.steps).toBeGreaterThanOrEqual(1);
        },
      ),
    );
  });
});
