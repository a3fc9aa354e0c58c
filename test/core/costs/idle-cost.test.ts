import { expect, test } from 'vitest';
import { idleCost } from '#core/costs/idle-cost.ts';
import { parseUsd } from '#core/pricing/money.ts';
import { priceBookOf } from '#core/pricing/prices.ts';

const book = priceBookOf('us-east-1');
const usd = (text: string): bigint => parseUsd(text, 'expected');

test('each use costs its list price, and what is free is taken off in order', () => {
  const cost = idleCost(
    [
      { what: 'alarms', priceId: 'cloudwatch.alarm', quantity: 8 },
      { what: 'image', priceId: 'ecr.storage', quantity: 5 },
      { what: 'more alarms', priceId: 'cloudwatch.alarm', quantity: 4 },
    ],
    book,
  );

  // 8 x 0.10, 5 x 0.10, 4 x 0.10; ten alarms are free, so two of the last four are paid
  expect(cost.lines.map(({ what, listed, paid }) => [what, listed, paid])).toEqual([
    ['alarms', usd('0.80'), 0n],
    ['image', usd('0.50'), usd('0.50')],
    ['more alarms', usd('0.40'), usd('0.20')],
  ]);
  expect(cost.listed).toBe(usd('1.70'));
  expect(cost.paid).toBe(usd('0.70'));
});

test('nothing costs nothing', () => {
  expect(idleCost([], book)).toEqual({ lines: [], listed: 0n, paid: 0n });
});

test.each([-1, NaN, Infinity])('%d of something is refused by its name', (quantity) => {
  const asking = () => idleCost([{ what: 'the image', priceId: 'ecr.storage', quantity }], book);

  expect(asking).toThrow('the image');
});
