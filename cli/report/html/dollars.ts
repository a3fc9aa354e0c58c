import { formatUsd, PICO_USD_PER_USD } from '#core/pricing/money.ts';

/** Converts pico-dollars to dollars as a number: for charts, never for accounting. */
export function dollars(amount: bigint): number {
  return Number(amount) / Number(PICO_USD_PER_USD);
}

/** Minimum decimals; smaller amounts get more. */
const MIN_DIGITS = 2;
const MAX_DIGITS = 6;

/** Returns the decimals that show `shown` significant digits of an amount: `$12.30`, `$0.00123`. */
export function digitsFor(amount: number, shown = 3): number {
  if (amount === 0) return MIN_DIGITS;
  const digits = shown - 1 - Math.floor(Math.log10(Math.abs(amount)));
  return Math.min(MAX_DIGITS, Math.max(MIN_DIGITS, digits));
}

/** Formats an amount for display. */
export function usd(amount: bigint, digits = digitsFor(dollars(amount))): string {
  return amount < 0n ? `−$${formatUsd(-amount, digits)}` : `$${formatUsd(amount, digits)}`;
}

/** Returns the label format of an axis that ends at this many dollars. */
export function axisDollars(most: number): (value: number) => string {
  const digits =
    most >= 20 ? 0 : most > 0 ? Math.min(8, Math.max(0, 1 - Math.floor(Math.log10(most)))) : 0;
  return (value) => `$${value.toFixed(digits)}`;
}

/** Formats a share, `12.3 %`; a dash if the whole is zero. */
export function percent(part: bigint, whole: bigint): string {
  return whole === 0n ? '–' : `${(100 * (Number(part) / Number(whole))).toFixed(1)} %`;
}
