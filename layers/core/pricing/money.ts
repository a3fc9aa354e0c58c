import { InvalidInputError } from '../errors.ts';

/**
 * Money is counted in pico-dollars (10^-12 USD) as bigint: the smallest price, one read unit's or one
 * byte's share, is still a whole number, and sums are exact.
 */
export const PICO_USD_PER_USD = 10n ** 12n;

const FRACTION_DIGITS = 12;
const DOLLARS = /^(\d{1,12})(?:\.(\d{1,12}))?$/;

/** Measured quantities count to a thousandth: milliseconds of seconds, half units of a read. */
const QUANTITY_DIGITS = 3;

/**
 * A price in dollars as text, e.g. `0.0000166667`, in pico-dollars; nothing is rounded.
 *
 * @throws InvalidInputError naming the field when it is negative, no number, finer than a
 * pico-dollar, or a trillion dollars and more.
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
 * Pico-dollars as dollars, without a currency sign.
 *
 * @param digits after the point, half rounded away from zero; without it the exact amount, with at
 * least two digits after the point
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
      `ask for 0 to ${FRACTION_DIGITS} digits`,
    );
  }
  const rounded = divideRounded(positive, 10n ** BigInt(FRACTION_DIGITS - digits));
  const [dollars, fraction] = split(rounded, digits);
  const isZero = rounded === 0n;
  return `${isZero ? '' : sign}${dollars}${digits === 0 ? '' : `.${fraction}`}`;
}

/** How much of something was used, exactly: `value / scale` of its unit. */
export interface Quantity {
  value: bigint;
  scale: bigint;
}

/**
 * A measured number as an exact quantity, to a thousandth of its unit.
 *
 * @throws InvalidInputError naming the field when it is negative, no number, or above the limit:
 * such a bill is a fault of whoever measured, and no fault may become money.
 */
export function quantityOf(measured: unknown, field: string, limit: number): Quantity {
  if (typeof measured !== 'number' || !(measured >= 0) || measured > limit) {
    throw new InvalidInputError(
      field,
      `${field} ${String(measured)} is not a number from 0 to ${limit}`,
      'record what was measured, in the unit that the name of the field says',
    );
  }
  const scale = 10 ** QUANTITY_DIGITS;
  if (Number.isInteger(measured)) return { value: BigInt(measured), scale: 1n };
  return { value: BigInt(Math.round(measured * scale)), scale: BigInt(scale) };
}

/** Price of one unit times a quantity, in whole pico-dollars, half rounded up. */
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
