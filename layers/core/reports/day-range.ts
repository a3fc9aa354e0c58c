import { DAY_MILLISECONDS, addDays, dayAt, isDay, startOfDay } from '../day.ts';
import { InvalidInputError } from '../errors.ts';

/** First and last day of a report, `2026-11-22`, UTC, inclusive. */
export interface DayRange {
  from: string;
  to: string;
}

/** Default length of a report in days. */
export const DEFAULT_DAYS = 30;

/** Maximum days: each is a query; ten years take at most an hour, and more is likely a typo. */
export const MAX_DAYS = 3660;

/**
 * Returns the days of a report; default: the last 30 days including today.
 *
 * @param now epoch milliseconds
 * @throws InvalidInputError if `from` or `to` is not a day or in the future, or `from` is after `to`.
 * @example dayRange({ from: '2026-11-01' }, Date.now())
 */
export function dayRange(asked: Partial<DayRange>, now: number): DayRange {
  const today = dayAt(now);
  if (asked.from !== undefined) requirePastDay('from', asked.from, today);
  if (asked.to !== undefined) requirePastDay('to', asked.to, today);
  const to = asked.to ?? today;
  const from = asked.from ?? addDays(to, 1 - DEFAULT_DAYS);
  if (from > to) {
    throw new InvalidInputError(
      'from',
      `from ${from} is after to ${to}`,
      'give the earlier day as from; both days are included',
    );
  }
  const days = (startOfDay(to) - startOfDay(from)) / DAY_MILLISECONDS + 1;
  if (days > MAX_DAYS) {
    throw new InvalidInputError(
      'from',
      `${from} to ${to} are ${days} days; a report has at most ${MAX_DAYS}`,
      'request fewer days',
    );
  }
  return { from, to };
}

/** Yields the days of a range in order. */
export function* daysOf({ from, to }: DayRange): Generator<string> {
  for (let day = from; day <= to; day = addDays(day, 1)) yield day;
}

function requirePastDay(field: 'from' | 'to', day: string, today: string): void {
  if (!isDay(day)) {
    throw new InvalidInputError(
      field,
      `${field} ${JSON.stringify(day)} is not a day of the calendar`,
      'give a day like 2026-11-22, UTC',
    );
  }
  if (day > today) {
    throw new InvalidInputError(
      field,
      `${field} ${day} is in the future: today is ${today}, UTC`,
      'give today or an earlier day',
    );
  }
}
