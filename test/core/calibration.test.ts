import { describe, expect, it } from 'vitest';
import { DefaultCalibration, startPoint } from '#core/calibration.ts';
import { codeOf } from './code-of.ts';

const CALIBRATION = new DefaultCalibration({ whole: 0.9, object: 0.8, background: 0.7 });

describe('DefaultCalibration', () => {
  it.each([
    ['whole', 0.9, startPoint(0.3, 3)],
    ['object', 0.8, startPoint(0.9, 8)],
    ['background', 0.7, startPoint(0.95, 8)],
    ['object+background', 0.7, startPoint(0.7, 5)],
    ['exact', 1, startPoint(0, 0)],
  ] as const)('starts %s at similarity %d from the measured point', (kind, similarity, start) => {
    expect(CALIBRATION.decide(kind, similarity, 12)).toEqual(start);
  });

  it.each([
    ['whole', 0.899],
    ['object', 0.799],
    ['background', 0.699],
    ['object+background', 0.699],
    ['whole', NaN],
    ['miss', 1],
  ] as const)('refuses %s at similarity %d', (kind, similarity) => {
    expect(CALIBRATION.decide(kind, similarity, 12)).toBeNull();
  });

  it.each([
    ['whole', 3, startPoint(0.3, 1)],
    ['object+background', 5, startPoint(0.7, 4)],
    ['object', 8, null],
    ['whole', 1, null],
    ['background', 8, null],
    ['background', 4, null],
  ] as const)('of %s never runs as long as a full generation of %d steps', (kind, full, start) => {
    expect(CALIBRATION.decide(kind, 1, full)).toEqual(start);
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
