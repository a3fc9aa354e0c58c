import { InvalidInputError } from '#core/errors.ts';

const UNITS: Readonly<Record<string, number>> = {
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 24 * 3_600_000,
};
const PERIOD = /^(\d{1,6})([smhd])$/;

/** Below the maximum of Node's timers, 24.8 days. */
const LONGEST = 24 * 24 * 3_600_000;

/**
 * Parses a period, `90s`, `15m`, `1h`, `7d`, to milliseconds.
 *
 * @throws InvalidInputError with the field.
 */
export function parsePeriod(text: string, field: string): number {
  const [, amount, unit] = PERIOD.exec(text) ?? [];
  const milliseconds = Number(amount) * (UNITS[unit ?? ''] ?? NaN);
  if (milliseconds >= 1000 && milliseconds <= LONGEST) return milliseconds;
  throw new InvalidInputError(
    field,
    `${field} is ${JSON.stringify(text)}, not a time from 1s to 24d`,
    'give a whole number and s, m, h or d, such as 90s, 1h or 7d',
  );
}
