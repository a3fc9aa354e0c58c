import { describe, expect, test } from 'vitest';
import { parseUsd } from '#core/pricing/money.ts';
import { priceBookOf, priceIn } from '#core/pricing/prices.ts';
import { costBy, deployedPrices, embeddedPrices } from '#functions/shared/deployed-prices.ts';

describe('the prices of a deployed function', () => {
  test('are those of the region that the stack says', () => {
    expect(deployedPrices({ FLEXCACHE_PRICE_REGION: 'eu-west-1', AWS_REGION: 'us-west-2' })).toBe(
      priceBookOf('eu-west-1'),
    );
  });

  test('are those of its own region where the stack did not know it', () => {
    expect(deployedPrices({ AWS_REGION: 'us-west-2' })).toBe(priceBookOf('us-west-2'));
  });

  test('are those of us-east-1 where its own region has none, and say so', () => {
    expect(deployedPrices({ AWS_REGION: 'ap-south-1' }).region).toBe('us-east-1');
    expect(deployedPrices({}).region).toBe('us-east-1');
  });

  test('are never those of a region that was asked for in vain', () => {
    expect(() => deployedPrices({ FLEXCACHE_PRICE_REGION: 'ap-south-1' })).toThrow(/ap-south-1/);
  });

  test('give way to what was measured', () => {
    const book = deployedPrices({ FLEXCACHE_PRICE_OVERRIDES: 'ec2.g6.xlarge.spot=0.31' });

    expect(priceIn(book, 'ec2.g6.xlarge.spot').amount).toBe(parseUsd('0.31', 'expected'));
    expect(() => deployedPrices({ FLEXCACHE_PRICE_OVERRIDES: 'spot=0.31' })).toThrow(
      /FLEXCACHE_PRICE_OVERRIDES contains "spot"/,
    );
  });
});

test('the prices of this machine do not follow the region of its tools', () => {
  expect(embeddedPrices({ AWS_REGION: 'eu-west-1' }).region).toBe('us-east-1');
  expect(embeddedPrices({ FLEXCACHE_PRICE_REGION: 'eu-west-1' }).region).toBe('eu-west-1');
});

test('a job costs what its records come to, by the prices of the day it was asked for', () => {
  const usage = [{ step: 'commit' as const, tableWriteUnits: 8 }];
  const costOf = costBy(priceBookOf('us-east-1'));

  // 8 x 0.000000625; before 2024-11-01 8 x 0.00000125
  expect(costOf({ usage, createdAt: '2026-11-22T00:00:00.000Z' })).toBe(5_000_000n);
  expect(costOf({ usage, createdAt: '2024-10-31T23:59:59.999Z' })).toBe(10_000_000n);
});
