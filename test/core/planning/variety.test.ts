import { expect, it } from 'vitest';
import { DefaultCalibration } from '#core/planning/calibration.ts';
import { limitReuse } from '#core/planning/limit-reuse.ts';
import { varietyOf, VARIETIES } from '#core/planning/variety.ts';

const calibration = new DefaultCalibration({ whole: 0.8, object: 0.8, background: 0.8 });

it.each([
  ['exact', 'none'],
  ['whole', 'low'],
  ['object+background', 'low'],
  ['object', 'high'],
  ['background', 'high'],
] as const)('says of a hit on %s that its variety is %s', (hit, variety) => {
  const { startTime } = calibration.decide(hit, 1, 20)!;
  expect(varietyOf({ hit, startTime })).toBe(variety);
});

it.each([
  ['none', 'high'],
  ['background', 'high'],
  ['region', 'high'],
  ['place', 'medium'],
] as const)('says of a background whose anchor is %s that its variety is %s', (anchor, variety) => {
  expect(varietyOf({ hit: 'background', startTime: anchor === 'place' ? 1 : 0.95, anchor })).toBe(
    variety,
  );
});

it('grows as less is reused', () => {
  const found = [1, 0.5, 0.3, 0.1].map((maxReuse) => {
    const start = limitReuse(calibration, { minSimilarity: 0, maxReuse }).decide('whole', 1, 20);
    return VARIETIES.indexOf(varietyOf({ hit: 'whole', startTime: start!.startTime }));
  });
  expect(found).toEqual(found.toSorted((one, other) => one - other));
  expect(VARIETIES[found.at(-1)!]).toBe('medium');
  expect(varietyOf({ hit: 'miss', startTime: 1 })).toBe('high');
});
