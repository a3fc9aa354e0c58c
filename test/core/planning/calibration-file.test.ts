import { describe, expect, it } from 'vitest';
import { FlexCacheError } from '#core/errors.ts';
import { parseCalibration } from '#core/planning/calibration-file.ts';
import { calibrationFile, planOf, REVISION } from './calibration-fixture.ts';

function failure(change: object, revision = REVISION): FlexCacheError {
  const text = JSON.stringify({ ...calibrationFile(), ...change });
  try {
    parseCalibration('calibration.json', text, revision);
  } catch (error) {
    return error as FlexCacheError;
  }
  throw new Error('the file was taken');
}

describe('parseCalibration', () => {
  it('reads what was written', () => {
    const file = calibrationFile();
    const parsed = parseCalibration('calibration.json', JSON.stringify(file), REVISION);
    expect(parsed).toEqual({ measured: [], ...file });
  });

  it('refuses what is not JSON', () => {
    expect(() => parseCalibration('x/calibration.json', '{', REVISION)).toThrow(
      'x/calibration.json is not JSON',
    );
  });

  it.each<[string, object, string]>([
    ['another format', { format: 'flexcache-calibration/2' }, 'format'],
    ['a field that nobody knows', { plan: [] }, 'the whole file'],
    [
      'a start at the end',
      { plans: [planOf('whole', 0.9, 1, { startTime: 0 })] },
      'plans.0.startTime',
    ],
    [
      'two plans of one bin',
      { plans: [planOf('whole', 0.9, 1), planOf('whole', 0.9, 2)] },
      'plans.1.similarity',
    ],
    ['a hit as dear as a miss', { plans: [planOf('whole', 0.9, 6)] }, 'plans.0.steps'],
    [
      'compute that is not the steps',
      { plans: [planOf('background', 0.7, 4, { equivalents: 2 })] },
      'plans.0.equivalents',
    ],
    [
      'a threshold that is no cosine',
      { thresholds: { whole: 2, object: 0.8, background: 0.7 } },
      'thresholds.whole',
    ],
    [
      'an interval without its mean',
      {
        plans: [
          planOf('whole', 0.9, 1, {
            loss: {
              adherence: { mean: 1, low: 0, high: 0.5 },
              frechet: { mean: 0, low: 0, high: 0 },
            },
          }),
        ],
      },
      'plans.0.loss.adherence',
    ],
  ])('refuses %s', (_name, change, field) => {
    expect(failure(change)).toMatchObject({ code: 'model_corrupt', field });
  });

  it('takes a region plan that costs less than its steps', () => {
    const plan = planOf('background', 0.7, 6, { anchor: 'region', equivalents: 2.5 });
    const text = JSON.stringify({ ...calibrationFile(), plans: [plan] });
    expect(parseCalibration('calibration.json', text, REVISION).plans).toEqual([plan]);
  });

  it('refuses a calibration of another model', () => {
    const error = failure({}, 'f'.repeat(64));
    expect(error).toMatchObject({ code: 'model_corrupt', field: 'modelRevision' });
    expect(error.message).toContain(REVISION);
    expect(error.fix).toContain('flexcache calibrate');
  });
});
