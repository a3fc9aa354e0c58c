import { expect, test } from 'vitest';
import { fuzzApi } from '../../bench/fuzz-api.ts';

const COUNT = 3000;

test('generated requests are never answered with a 5xx, with an unknown body, or not at all', async () => {
  const { statuses } = await fuzzApi({ count: COUNT, seed: 20_261_122 });
  const answered = Object.values(statuses).reduce((sum, count) => sum + count, 0);
  expect(answered).toBe(COUNT);
  // The generator finds its way in, and is stopped in every way that a body can be wrong.
  expect(Object.keys(statuses)).toEqual(
    expect.arrayContaining(['200', '400', '403', '404', '409', '415']),
  );
  expect(statuses['200']).toBeGreaterThan(COUNT / 20);
}, 120_000);
