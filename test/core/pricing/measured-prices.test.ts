import { describe, expect, test } from 'vitest';
import { InvalidInputError } from '#core/errors.ts';
import { parseMeasuredPrices, withMeasuredPrices } from '#core/pricing/measured-prices.ts';
import { parseUsd } from '#core/pricing/money.ts';
import { priceBookOf, priceIn } from '#core/pricing/prices.ts';
import { costOfUsage } from '#core/costs/usage-cost.ts';

const book = priceBookOf('us-east-1');
const usd = (text: string): bigint => parseUsd(text, 'expected');

describe('measured prices', () => {
  test.each([
    'ec2.g6.xlarge.spot=0.31,ec2.g5.xlarge.spot=0.4',
    ' ec2.g6.xlarge.spot = 0.31 , ec2.g5.xlarge.spot = 0.4, ',
    '{"ec2.g6.xlarge.spot": "0.31", "ec2.g5.xlarge.spot": "0.4"}',
  ])('are read from %s', (text) => {
    expect([...parseMeasuredPrices(text, '--override')]).toEqual([
      ['ec2.g6.xlarge.spot', usd('0.31')],
      ['ec2.g5.xlarge.spot', usd('0.4')],
    ]);
  });

  test('come before those of the book, which says that they were measured', () => {
    const measured = withMeasuredPrices(
      book,
      parseMeasuredPrices('ec2.g6.xlarge.spot=0.31', '--override'),
    );
    const usage = [
      {
        step: 'generate' as const,
        gpuSeconds: 3600,
        instanceType: 'g6.xlarge',
        purchaseOption: 'spot' as const,
      },
    ];

    expect(costOfUsage(usage, measured).total).toBe(usd('0.31'));
    expect(priceIn(measured, 'ec2.g6.xlarge.spot').source).toBe(
      'measured; the book of us-east-1 has $0.4011',
    );
    expect(priceIn(book, 'ec2.g6.xlarge.spot').amount).toBe(usd('0.4011'));
  });

  test('may be of a machine that the book does not have', () => {
    const measured = withMeasuredPrices(
      book,
      parseMeasuredPrices('ec2.g5.4xlarge.spot=0.75', '--override'),
    );

    expect(priceIn(measured, 'ec2.g5.4xlarge.spot')).toMatchObject({ unit: 'hour' });
  });

  test('that were not given change nothing', () => {
    expect(withMeasuredPrices(book, parseMeasuredPrices('', '--override'))).toBe(book);
  });

  test.each([
    ['g6.xlarge.spot=0.31', '"g6.xlarge.spot"'],
    ['ec2.g6.xlarge.reserved=0.31', '"ec2.g6.xlarge.reserved"'],
    ['ec2.g6.xlarge.spot', 'ec2.g6.xlarge.spot'],
    ['ec2.g6.xlarge.spot=-0.31', '-0.31'],
    ['ec2.g6.xlarge.spot=NaN', 'NaN'],
    ['ec2.g6.xlarge.spot=0.31,ec2.g6.xlarge.spot=0.32', 'twice'],
    ['{"ec2.g6.xlarge.spot": 0.31}', '0.31'],
    ['{"ec2.g6.xlarge.spot"', 'not JSON'],
  ])('%s is refused by name', (text, named) => {
    expect(() => parseMeasuredPrices(text, '--override')).toThrow(InvalidInputError);
    expect(() => parseMeasuredPrices(text, '--override')).toThrow(named);
  });

  test.each([
    'ec2.g6.xlarge.spot=0',
    'ec2.g6.xlarge.spot=31000',
    'ec2.g6.xlarge.spot=0.003',
    'ec2.g5.4xlarge.spot=1001',
  ])('%s cannot be', (text) => {
    const [id] = text.split('=') as [string];
    const using = () => withMeasuredPrices(book, parseMeasuredPrices(text, '--override'));

    expect(using).toThrow(InvalidInputError);
    expect(using).toThrow(`the measured price of ${id}`);
  });
});
