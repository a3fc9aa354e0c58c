import { InvalidInputError } from '#core/errors.ts';

const UNITS: Readonly<Record<string, number>> = {
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 24 * 3_600_000,
};
const PERIOD = /^(\d{1,6})([smhd])$/;

/** Timers of Node wait 24.8 days at most. */
const LONGEST = 24 * 24 * 3_600_000;

/**
 * A period as people write it, `90s`, `15m`, `1h`, `7d`, in milliseconds.
 *
 * @throws InvalidInputError naming the field.
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
