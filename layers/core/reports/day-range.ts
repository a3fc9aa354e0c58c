import { DAY_MILLISECONDS, addDays, dayAt, isDay, startOfDay } from '../day.ts';
import { InvalidInputError } from '../errors.ts';

/** Days of a report, `2026-11-22`, UTC; both belong to it. */
export interface DayRange {
  from: string;
  to: string;
}

/** Days of a report that was asked for without any. */
export const DEFAULT_DAYS = 30;

/** Each day is a query of its own; ten years are an hour's work at most and no mistake of a digit. */
export const MOST_DAYS = 3660;

/**
 * The days that somebody asked for: up to today, and 30 of them, where nothing else is said.
 *
 * @param now epoch milliseconds
 * @throws InvalidInputError naming `from` or `to` when it is no day, in the future, or after the other.
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
      'give the earlier day as from; both days belong to the report',
    );
  }
  const days = (startOfDay(to) - startOfDay(from)) / DAY_MILLISECONDS + 1;
  if (days > MOST_DAYS) {
    throw new InvalidInputError(
      'from',
      `${from} to ${to} are ${days} days; a report has at most ${MOST_DAYS}`,
      'ask for fewer days',
    );
  }
  return { from, to };
}

/** Every day of a range, in order. */
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
