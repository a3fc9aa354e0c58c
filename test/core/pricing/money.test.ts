import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { InvalidInputError } from '#core/errors.ts';
import { formatUsd, parseUsd, priceOf, quantityOf } from '#core/pricing/money.ts';

describe('parseUsd', () => {
  test.each([
    ['0', 0n],
    ['1', 1_000_000_000_000n],
    ['0.0000166667', 16_666_700n],
    ['0.000000000001', 1n],
    ['1.861', 1_861_000_000_000n],
    ['999999999999.999999999999', 999_999_999_999_999_999_999_999n],
  ])('%s dollars are %d pico-dollars', (text, amount) => {
    expect(parseUsd(text, 'price')).toBe(amount);
  });

  test.each([
    '-1',
    '+1',
    '',
    ' 1',
    '1 ',
    '.5',
    '5.',
    '1e3',
    '1,000',
    'NaN',
    'Infinity',
    '0x10',
    '0.0000000000001',
    '1000000000000',
    1,
    null,
    undefined,
    NaN,
  ])('%j is refused by the name of its field', (text) => {
    expect(() => parseUsd(text, 's3.put-request.usd')).toThrow(InvalidInputError);
    expect(() => parseUsd(text, 's3.put-request.usd')).toThrow(/s3\.put-request\.usd/);
  });
});

describe('formatUsd', () => {
  test.each([
    [0n, '0.00'],
    [1n, '0.000000000001'],
    [1_000_000_000_000n, '1.00'],
    [1_234_500_000_000n, '1.2345'],
    [-500_000_000_000n, '-0.50'],
  ])('%d pico-dollars are exactly %s', (amount, text) => {
    expect(formatUsd(amount)).toBe(text);
  });

  test.each([
    [1_234_500_000_000n, 3, '1.235'],
    [1_234_499_999_999n, 3, '1.234'],
    [-1_234_500_000_000n, 3, '-1.235'],
    [999_999_999_999n, 2, '1.00'],
    [-1n, 2, '0.00'],
    [1_500_000_000_000n, 0, '2'],
  ])('%d pico-dollars to %d digits are %s', (amount, digits, text) => {
    expect(formatUsd(amount, digits)).toBe(text);
  });

  test.each([-1, 13, 1.5, NaN])('%d digits are refused', (digits) => {
    expect(() => formatUsd(1n, digits)).toThrow(/digits/);
  });

  test('what is written out exactly is read back exactly', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 10n ** 24n - 1n }), (amount) => {
        expect(parseUsd(formatUsd(amount), 'amount')).toBe(amount);
      }),
    );
  });
});

describe('quantityOf', () => {
  test('whole numbers stay whole, others count to a thousandth', () => {
    expect(quantityOf(7, 'n', 10)).toEqual({ value: 7n, scale: 1n });
    expect(quantityOf(1.2345, 'n', 10)).toEqual({ value: 1235n, scale: 1000n });
    expect(quantityOf(0.1 + 0.2, 'n', 10)).toEqual({ value: 300n, scale: 1000n });
  });

  test.each([-1, -0.001, NaN, Infinity, 11, '1', null, 1n])('%s is refused by name', (measured) => {
    expect(() => quantityOf(measured, 'gpuSeconds', 10)).toThrow(InvalidInputError);
    expect(() => quantityOf(measured, 'gpuSeconds', 10)).toThrow(/gpuSeconds/);
  });
});

test('half a pico-dollar is rounded up, less is dropped', () => {
  expect(priceOf(1n, { value: 1n, scale: 2n })).toBe(1n);
  expect(priceOf(1n, { value: 499n, scale: 1000n })).toBe(0n);
  expect(priceOf(3n, { value: 1n, scale: 2n })).toBe(2n);
});
