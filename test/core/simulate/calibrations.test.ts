import { describe, expect, test } from 'vitest';
import { DefaultCalibration, startPoint } from '#core/calibration.ts';
import { LadderCalibration, ProportionalCalibration } from '#core/simulate/calibrations.ts';

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
    const measured = new DefaultCalibration({ whole: 0.9, object: 0.9, background: 0.9 });
    const calibration = new ProportionalCalibration(measured);
    expect(measured.decide('whole', 0.95, 50)).toEqual(startPoint(0.3, 3));
    expect(calibration.decide('whole', 0.95, 50)).toEqual(startPoint(0.3, 15));
    expect(calibration.decide('whole', 0.89, 50)).toBeNull();
    expect(calibration.decide('exact', 1, 50)).toEqual(startPoint(0, 0));
  });
});
