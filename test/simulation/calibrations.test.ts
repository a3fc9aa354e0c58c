import { describe, expect, test } from 'vitest';
import { checkCalibrationFile } from '#core/planning/calibration-file.ts';
import { startPoint } from '#core/planning/calibration.ts';
import { PackageCalibration } from '#core/planning/package-calibration.ts';
import { LadderCalibration, ProportionalCalibration } from '#simulation/calibrations.ts';
import { calibrationFile, planOf } from '../core/planning/calibration-fixture.ts';

describe('a ladder', () => {
  const ladder = new LadderCalibration([
    { similarity: 0.74, startTime: 0.7 },
    { similarity: 0.9, startTime: 0.5 },
  ]);

  test.each([
    [0.73, null],
    [0.74, startPoint(0.7, 35)],
    [0.89, startPoint(0.7, 35)],
    [0.9, startPoint(0.5, 25)],
  ])('starts a donor of cosine %d at its rung', (similarity, start) => {
    expect(ladder.decide('whole', similarity, 50)).toEqual(start);
  });

  test('knows no parts, but exact answers', () => {
    expect(ladder.decide('object', 1, 50)).toBeNull();
    expect(ladder.decide('exact', 1, 50)).toEqual(startPoint(0, 0));
  });

  test('saves at least one step or is no hit', () => {
    expect(ladder.decide('whole', 0.8, 3)).toBeNull();
    expect(ladder.decide('whole', 0.8, 4)).toEqual(startPoint(0.7, 3));
    expect(ladder.decide('whole', 0.8, Infinity)).not.toBeNull();
  });

  test.each([
    [[]],
    [[{ similarity: 1.1, startTime: 0.5 }]],
    [[{ similarity: 0, startTime: 0.5 }]],
    [[{ similarity: 0.5, startTime: 1 }]],
    [[{ similarity: 0.5, startTime: Number.NaN }]],
    [
      [
        { similarity: 0.8, startTime: 0.5 },
        { similarity: 0.7, startTime: 0.4 },
      ],
    ],
    [
      [
        { similarity: 0.7, startTime: 0.5 },
        { similarity: 0.8, startTime: 0.6 },
      ],
    ],
  ])('refuses %j', (rungs) => {
    expect(() => new LadderCalibration(rungs)).toThrow(
      expect.objectContaining({ code: 'invalid_input', field: 'ladder' }),
    );
  });
});

describe('a model whose steps on hits nobody tuned', () => {
  test('runs its share of the full number from the measured start', () => {
    const plans = [planOf('whole', 0.9, 2, { startTime: 0.5 })];
    const measured = new PackageCalibration(
      checkCalibrationFile('calibration.json', calibrationFile({ plans })),
    );
    const calibration = new ProportionalCalibration(measured);
    expect(measured.decide('whole', 0.95, 48)).toMatchObject({ startTime: 0.5, steps: 16 });
    expect(calibration.decide('whole', 0.95, 48)).toEqual(startPoint(0.5, 24, 'ab2'));
    expect(calibration.decide('whole', 0.89, 48)).toBeNull();
    expect(calibration.decide('exact', 1, 48)).toEqual(startPoint(0, 0, 'ab2'));
  });
});
