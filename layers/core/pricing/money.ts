import { InvalidInputError } from '../errors.ts';

/**
 * Money is in pico-dollars (10^-12 USD) as bigint: even the price of one read unit or one byte is a whole
 * number, and sums are exact.
 */
export const PICO_USD_PER_USD = 10n ** 12n;

const FRACTION_DIGITS = 12;
const DOLLARS = /^(\d{1,12})(?:\.(\d{1,12}))?$/;

/** Decimals of measured quantities: milliseconds, half read units. */
const QUANTITY_DIGITS = 3;

/**
 * Parses dollars as text, such as `0.0000166667`, to pico-dollars, exactly.
 *
 * @throws InvalidInputError with the field if the text is negative, not a number, finer than a pico-dollar, or a
 * trillion dollars or more.
 */
export function parseUsd(text: unknown, field: string): bigint {
  const [, dollars, fraction = ''] =
    typeof text === 'string' ? (DOLLARS.exec(text) ?? []) : ([] as string[]);
  if (dollars === undefined) {
    throw new InvalidInputError(
      field,
      `${field} ${JSON.stringify(text) ?? String(text)} is not an amount of dollars`,
      'write dollars as text with at most 12 digits before and after the point, e.g. "0.0000166667"',
    );
  }
  return BigInt(dollars) * PICO_USD_PER_USD + BigInt(fraction.padEnd(FRACTION_DIGITS, '0'));
}

/**
 * Formats pico-dollars as dollars, without a currency sign.
 *
 * @param digits decimals, half rounded away from zero; default: the exact amount with at least two decimals
 * @example formatUsd(1_234_500_000_000n) // '1.2345'
 */
export function formatUsd(amount: bigint, digits?: number): string {
  const sign = amount < 0n ? '-' : '';
  const positive = amount < 0n ? -amount : amount;
  if (digits === undefined) {
    const [dollars, fraction] = split(positive, FRACTION_DIGITS);
    return `${sign}${dollars}.${fraction.replace(/0+$/, '').padEnd(2, '0')}`;
  }
  if (!Number.isInteger(digits) || digits < 0 || digits > FRACTION_DIGITS) {
    throw new InvalidInputError(
      'digits',
      `digits ${digits} is not a whole number from 0 to ${FRACTION_DIGITS}`,
      `use 0 to ${FRACTION_DIGITS} digits`,
    );
  }
  const rounded = divideRounded(positive, 10n ** BigInt(FRACTION_DIGITS - digits));
  const [dollars, fraction] = split(rounded, digits);
  const isZero = rounded === 0n;
  return `${isZero ? '' : sign}${dollars}${digits === 0 ? '' : `.${fraction}`}`;
}

/** An exact quantity: `value / scale` units. */
export interface Quantity {
  value: bigint;
  scale: bigint;
}

/**
 * Converts a measured number to an exact quantity, to a thousandth of its unit.
 *
 * @throws InvalidInputError with the field if the value is negative, not a number, or above the limit, so that
 * a measurement error never becomes a charge.
 */
export function quantityOf(measured: unknown, field: string, limit: number): Quantity {
  if (typeof measured !== 'number' || !(measured >= 0) || measured > limit) {
    throw new InvalidInputError(
      field,
      `${field} ${String(measured)} is not a number from 0 to ${limit}`,
      'record the measured value in the unit of the field',
    );
  }
  const scale = 10 ** QUANTITY_DIGITS;
  if (Number.isInteger(measured)) return { value: BigInt(measured), scale: 1n };
  return { value: BigInt(Math.round(measured * scale)), scale: BigInt(scale) };
}

/** Multiplies a unit price and a quantity; whole pico-dollars, half rounded up. */
export function priceOf(unitPrice: bigint, { value, scale }: Quantity): bigint {
  return divideRounded(unitPrice * value, scale);
}

function divideRounded(dividend: bigint, divisor: bigint): bigint {
  return (2n * dividend + divisor) / (2n * divisor);
}

function split(amount: bigint, digits: number): [string, string] {
  const text = amount.toString().padStart(digits + 1, '0');
  const point = text.length - digits;
  return [text.slice(0, point), text.slice(point)];
}
