import { expect, it } from 'vitest';
import { DefaultCalibration, startPoint } from '#core/planning/calibration.ts';
import { possibleHits } from '#core/planning/possible-hits.ts';

const calibration = new DefaultCalibration({ whole: 0.8, object: 0.8, background: 0.8 });

it('has the hits that save steps, of so many', () => {
  expect(possibleHits(calibration, 20)).toEqual([
    'exact',
    'whole',
    'object+background',
    'object',
    'background',
  ]);
  expect(possibleHits(calibration, 7)).toEqual(['exact', 'whole', 'object+background']);
});

it('has backgrounds where only those of a placed object have a plan', () => {
  const placed = {
    ...calibration,
    decide: (kind: string) => (kind === 'placed' ? startPoint(1, 3) : null),
  };
  expect(possibleHits(placed as never, 7)).toEqual(['background']);
});
