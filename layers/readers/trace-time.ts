import { InvalidInputError } from '#core/errors.ts';

/** Video models are younger than this. */
const EARLIEST = Date.UTC(2000, 0, 1) / 1000;
/** What is later was most likely given in milliseconds. */
const LATEST = Date.UTC(2100, 0, 1) / 1000;

const ISO_WITH_ZONE = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)$/;

/**
 * Epoch seconds of the time of a line: ISO 8601 with its zone, or epoch seconds.
 *
 * @throws InvalidInputError when it is neither, or not of the years 2000 to 2099.
 */
export function parseTraceTime(value: unknown): number {
  const seconds = typeof value === 'string' ? secondsOf(value) : value;
  if (typeof seconds !== 'number' || !Number.isFinite(seconds)) {
    throw new InvalidInputError(
      'time',
      `time ${JSON.stringify(value) ?? 'undefined'} is no time`,
      'give ISO 8601 with its zone, such as 2026-01-01T00:00:00Z, or epoch seconds',
    );
  }
  if (seconds >= EARLIEST && seconds < LATEST) return seconds;
  const isMilliseconds = seconds / 1000 >= EARLIEST && seconds / 1000 < LATEST;
  throw new InvalidInputError(
    'time',
    `time ${JSON.stringify(value)} is not of the years 2000 to 2099`,
    isMilliseconds
      ? 'epoch seconds are wanted, these look like milliseconds: divide by 1000'
      : 'give the time at which the request came',
  );
}

function secondsOf(text: string): number {
  const time = text.trim();
  if (!ISO_WITH_ZONE.test(time) || !isCalendarDay(time.slice(0, 10))) return Number.NaN;
  return Date.parse(time) / 1000;
}

/** Dates such as February 30 would be read as March 2. */
function isCalendarDay(day: string): boolean {
  const date = new Date(`${day}T00:00:00Z`);
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(day);
}
