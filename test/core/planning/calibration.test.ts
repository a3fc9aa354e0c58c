import { describe, expect, it } from 'vitest';
import { DefaultCalibration, startPoint } from '#core/planning/calibration.ts';
import { codeOf } from '../code-of.ts';

const CALIBRATION = new DefaultCalibration({ whole: 0.9, object: 0.8, background: 0.7 });

describe('DefaultCalibration', () => {
  it.each([
    ['whole', 0.9, startPoint(0.3, 6)],
    ['object', 0.8, startPoint(0.9, 18)],
    ['background', 0.7, startPoint(0.95, 19)],
    ['object+background', 0.7, startPoint(0.7, 14)],
    ['exact', 1, startPoint(0, 0)],
  ] as const)("runs the start time's share of 20 steps for %s from %d on", (kind, least, start) => {
    expect(CALIBRATION.decide(kind, least, 20)).toEqual(start);
  });

  it.each([
    ['whole', 0.899],
    ['object', 0.799],
    ['background', 0.699],
    ['object+background', 0.699],
    ['whole', NaN],
    ['miss', 1],
  ] as const)('refuses %s at similarity %d', (kind, similarity) => {
    expect(CALIBRATION.decide(kind, similarity, 20)).toBeNull();
  });

  it.each(['whole', 'object+background', 'object', 'background'] as const)(
    'never runs longer steps than a full generation for %s, nor as many of them',
    (kind) => {
      for (let fullSteps = 1; fullSteps <= 100; fullSteps++) {
        const start = CALIBRATION.decide(kind, 1, fullSteps);
        const { startTime } = CALIBRATION.decide(kind, 1, Infinity)!;
        if (start === null) {
          expect(fullSteps - 1).toBeLessThan(startTime * fullSteps);
          continue;
        }
        expect(start.startTime).toBe(startTime);
        expect(start.steps).toBeLessThan(fullSteps);
        expect(startTime / start.steps).toBeLessThanOrEqual(1 / fullSteps + 1e-12);
        expect(startTime / (start.steps - 1)).toBeGreaterThan(1 / fullSteps);
      }
    },
  );

  it.each([
    ['whole', 7, 3],
    ['object+background', 7, 5],
    ['object', 7, null],
    ['background', 7, null],
    ['whole', 50, 15],
    ['object+background', 50, 35],
    ['object', 50, 45],
    ['background', 50, 48],
    ['whole', 1, null],
    ['object+background', 3, null],
    ['object', 10, 9],
    ['background', 19, null],
  ] as const)('of %s beside full generations of %d steps runs %s', (kind, full, steps) => {
    expect(CALIBRATION.decide(kind, 1, full)?.steps ?? null).toBe(steps);
  });

  it('refuses a threshold that is no cosine and names it', () => {
    expect(() => new DefaultCalibration({ whole: 0.8, object: 1.2, background: 0.8 })).toThrow(
      expect.objectContaining({ field: 'lookup.thresholds.object' }),
    );
    expect(codeOf(() => new DefaultCalibration({ whole: NaN, object: 0.8, background: 0.8 }))).toBe(
      'invalid_input',
    );
  });
});
